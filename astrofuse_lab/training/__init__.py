"""Training, runs, metrics and comparisons."""
