"""Metrics, thresholds, calibration and statistics: arrays in, numbers out."""
