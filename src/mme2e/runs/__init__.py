"""Run folders: weights, settings, labels and thresholds of a trained model."""
