"""2x2 maximum over active sites."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.ops.sparse_conv2d.sparse_maps import Sites, SparseMaps


def sparse_max_pool2d(maps: SparseMaps) -> SparseMaps:
    """2x2 maximum with stride 2; a site is active where any of its four inputs is.

    An odd last row or column is left out, as in dense pooling. The first of equal inputs gets the gradient.

    Args:
        maps: Features (sites, channels).
    """
    sites = maps.sites
    height, width = sites.height // 2, sites.width // 2
    frame, site = sites.positions // (sites.height * sites.width), sites.positions % (sites.height * sites.width)
    row, column = site // sites.width, site % sites.width
    parent = (frame * height + row // 2) * width + column // 2
    corner = row % 2 * 2 + column % 2
    child = torch.arange(len(sites), device=parent.device)
    features = maps.features
    if sites.height % 2 or sites.width % 2:
        inside = ((row < 2 * height) & (column < 2 * width)).nonzero().squeeze(1)
        features = features.index_select(0, inside)
        parent, corner, child = parent[inside], corner[inside], child[: len(inside)]
    # One row a parent, one column a corner: which site stands there; the number of sites means none.
    table = parent.new_full((sites.frames * height * width, 4), len(sites))
    table.view(-1).index_copy_(0, parent * 4 + corner, child)
    any_child = table.amin(dim=1)
    positions = (any_child < len(sites)).nonzero().squeeze(1)
    corners, any_child = table.index_select(0, positions), any_child.index_select(0, positions)
    # An empty corner repeats the first one that is not, which changes no maximum.
    corners = torch.where(corners < len(sites), corners, any_child.unsqueeze(1))
    row_of_parent = torch.empty(len(table), dtype=torch.int64, device=parent.device)
    row_of_parent[positions] = torch.arange(len(positions), device=parent.device)
    places = _Places(corners, corner.index_select(0, any_child), row_of_parent.index_select(0, parent), corner)
    pooled = _MaxOfCorners.apply(features, places)
    return SparseMaps(pooled, Sites(positions, (sites.frames, height, width)))


@dataclass(frozen=True)
class _Places:
    """Who stands where.

    Attributes:
        corners: (parents, 4) site in each corner.
        first: (parents,) number of the first corner that is not empty.
        parent: (sites,) row of each site's parent.
        corner: (sites,) number of the corner in which each site stands.
    """

    corners: Tensor
    first: Tensor
    parent: Tensor
    corner: Tensor


class _MaxOfCorners(torch.autograd.Function):
    """(sites, channels) features -> (parents, channels); each site belongs to one corner of one parent."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, places: _Places) -> Tensor:
        """Walks over the corners and remembers in a byte which one is the highest."""
        highest = features.index_select(0, places.corners[:, 0])
        winner = None
        if ctx.needs_input_grad[0]:
            winner = places.first.to(torch.uint8).unsqueeze(1).repeat(1, features.shape[1])
        for number in range(1, 4):
            values = features.index_select(0, places.corners[:, number])
            if winner is not None:
                # Numbers rise, so the last corner that was higher is the maximum of them.
                winner = torch.maximum(winner, (values > highest).view(torch.uint8).mul_(number))
            torch.maximum(highest, values, out=highest)
        ctx.places, ctx.winner = places, winner
        return highest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """To the site that stands in the winning corner."""
        won = ctx.winner.index_select(0, ctx.places.parent) == ctx.places.corner.unsqueeze(1)
        return gradient.index_select(0, ctx.places.parent).mul_(won), None
