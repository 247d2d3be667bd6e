"""2x2 maximum over active sites."""

import torch
from torch import Tensor

from mme2e.ops.sparse_conv2d.sparse_maps import Sites, SparseMaps


def sparse_max_pool2d(maps: SparseMaps) -> SparseMaps:
    """2x2 maximum with stride 2; a site is active where any of its four inputs is.

    An odd last row or column is left out, as in dense pooling.

    Args:
        maps: Features (sites, channels).
    """
    sites = maps.sites
    height, width = sites.height // 2, sites.width // 2
    frame, cell = sites.positions // (sites.height * sites.width), sites.positions % (sites.height * sites.width)
    row, column = cell // sites.width, cell % sites.width
    parent = (frame * height + row // 2) * width + column // 2
    corner = row % 2 * 2 + column % 2
    child = torch.arange(len(sites), device=parent.device)
    if sites.height % 2 or sites.width % 2:
        inside = (row < 2 * height) & (column < 2 * width)
        parent, corner, child = parent[inside], corner[inside], child[inside]
    # One row a parent cell, one column a corner: which site stands there; the number of sites means none.
    table = parent.new_full((sites.frames * height * width, 4), len(sites))
    table.view(-1).index_copy_(0, parent * 4 + corner, child)
    positions = (table < len(sites)).any(dim=1).nonzero().squeeze(1)
    features = _highest_of_corners(maps.features, table.index_select(0, positions))
    return SparseMaps(features, Sites(positions, (sites.frames, height, width)))


def _highest_of_corners(features: Tensor, corners: Tensor) -> Tensor:
    """(sites, channels) features and (parents, 4) sites -> (parents, channels)."""
    lowest = features.new_full((1, features.shape[1]), float("-inf"))
    padded = torch.cat([features, lowest])
    highest = padded.index_select(0, corners[:, 0])
    for corner in range(1, 4):
        highest = torch.maximum(highest, padded.index_select(0, corners[:, corner]))
    return highest
