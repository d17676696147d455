"""Sample sets: aligned objects with any subset of modalities, in memory or as one folder on disk."""
