"""The first layer over raw maps: convolution, batch normalisation, 2x2 maximum and ReLU in one pass."""

from mme2e.ops.first_layer.first_layer import can_fuse, first_layer

__all__ = ["can_fuse", "first_layer"]
