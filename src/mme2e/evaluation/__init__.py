"""Scores of runs: on splits, on subsets of their modalities, with thresholds and calibration from validation."""
