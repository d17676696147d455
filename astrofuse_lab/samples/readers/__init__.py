"""Readers of named data sets: files as their authors made them, to a SampleSet."""
