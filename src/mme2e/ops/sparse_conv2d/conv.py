"""Submanifold 3x3 convolution: one function, three ways to compute it."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d.gather import GatherConv2d
from mme2e.ops.sparse_conv2d.naive import submanifold_conv2d_naive
from mme2e.ops.sparse_conv2d.sparse_maps import SparseMaps

Path = Literal["auto", "gather", "dense", "naive"]

_TRAFFIC_COST = 25.0
"""Multiply-adds that a number gathered or added costs the gather path; fitted with benchmarks/sparse_conv2d.py."""


def submanifold_conv2d(maps: SparseMaps, weight: Tensor, *, path: Path = "auto") -> SparseMaps:
    """3x3 convolution without bias that reads and writes active sites only (Graham & van der Maaten 2017).

    Args:
        maps: Features (sites, in_channels).
        weight: (9, out_channels, in_channels), offsets row-major (dy, then dx) from -1 to 1.
        path: "gather" computes the pairs of active neighbours, "dense" the whole maps, "naive" is the definition;
            "auto" takes gather or dense, whichever costs less at this density.

    Returns:
        The same sites with features (sites, out_channels).

    Raises:
        UserError: Weights and features differ in channels, device or dtype.
    """
    _check(maps, weight)
    if path == "auto":
        path = "gather" if gather_cost(maps, weight.shape[2], weight.shape[1]) < 1 else "dense"
    if path == "gather":
        return maps.with_features(GatherConv2d.apply(maps.features, weight, maps.sites.rule_book))
    if path == "dense":
        kernel = weight.permute(1, 2, 0).reshape(weight.shape[1], weight.shape[2], 3, 3)
        dense = F.conv2d(maps.to_dense(), kernel, padding=1)
    else:
        inside = maps.with_features(maps.features.new_ones(len(maps.sites), 1)).to_dense().squeeze(1) > 0
        dense = submanifold_conv2d_naive(maps.to_dense(), inside, weight)
    rows = dense.permute(0, 2, 3, 1).reshape(-1, weight.shape[1])
    return maps.with_features(rows if len(rows) == len(maps.sites) else rows.index_select(0, maps.sites.positions))


def gather_cost(maps: SparseMaps, in_channels: int, out_channels: int) -> float:
    """Estimated time of the gather path as a multiple of the dense path's."""
    if not maps.sites.cells:
        return 0.0
    products = len(maps.sites) + maps.sites.rule_book.num_pairs
    traffic = _TRAFFIC_COST * (in_channels + 2 * out_channels) / (in_channels * out_channels)
    return products / (9 * maps.sites.cells) * (1 + traffic)


def _check(maps: SparseMaps, weight: Tensor) -> None:
    features = maps.features
    channels = features.shape[1]
    if weight.dim() != 3 or weight.shape[0] != 9 or weight.shape[2] != channels:
        raise UserError(f"weights {tuple(weight.shape)} do not fit {channels} channels: (9, out, {channels}) is wanted")
    if weight.device != features.device or weight.dtype != features.dtype:
        given, wanted = f"{weight.dtype} on {weight.device}", f"{features.dtype} on {features.device}"
        raise UserError(f"weights are {given}, features {wanted}: they must agree")
