"""Convolution, normalisation and pooling of sparse 2-D maps."""

from mme2e.ops.sparse_conv2d.conv import compiled_cost, gather_cost, submanifold_conv2d
from mme2e.ops.sparse_conv2d.pooling import sparse_max_pool2d
from mme2e.ops.sparse_conv2d.sparse_maps import Sites, SparseMaps, build_neighbours

__all__ = [
    "Sites",
    "SparseMaps",
    "build_neighbours",
    "compiled_cost",
    "gather_cost",
    "sparse_max_pool2d",
    "submanifold_conv2d",
]
