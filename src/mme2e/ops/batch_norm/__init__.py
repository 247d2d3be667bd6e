"""Batch normalisation and ReLU in training, in one pass each way."""

from mme2e.ops.batch_norm.batch_norm import batch_norm_relu, can_normalise, is_plain, move_averages, scale_and_shift

__all__ = ["batch_norm_relu", "can_normalise", "is_plain", "move_averages", "scale_and_shift"]
