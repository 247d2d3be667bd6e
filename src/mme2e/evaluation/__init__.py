"""Metrics, thresholds and their tables."""
