"""Submanifold convolution by gathering the pairs of each offset: as sparse backward as forward."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.ops.sparse_conv2d.matmul import outer_product, row_product
from mme2e.ops.sparse_conv2d.sparse_maps import RuleBook

_CENTRE = 4


class GatherConv2d(torch.autograd.Function):
    """(sites, in) features and (9, out, in) weights -> (sites, out)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, rules: RuleBook) -> Tensor:
        """Adds up, for each pair of neighbours, the neighbour's features times the weight of its offset."""
        ctx.save_for_backward(features, weight)
        ctx.rules = rules
        output = row_product(features, weight[_CENTRE].t())
        for offset, (sites, neighbours, all_sites, all_neighbours) in _walk(rules):
            pairs, mirrored = len(sites), 8 - offset
            from_neighbours = row_product(features.index_select(0, all_neighbours), weight[offset].t())
            output.index_add_(0, sites, from_neighbours[:pairs])
            from_sites = row_product(features.index_select(0, all_sites), weight[mirrored].t())
            output.index_add_(0, neighbours, from_sites[:pairs])
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The same walk over the pairs with the roles of site and neighbour exchanged."""
        features, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        wants_features, wants_weight, _ = ctx.needs_input_grad
        features_gradient = row_product(gradient, weight[_CENTRE]) if wants_features else None
        weight_gradient = torch.empty_like(weight) if wants_weight else None
        if weight_gradient is not None:
            weight_gradient[_CENTRE] = outer_product(gradient, features)
        for offset, (sites, neighbours, all_sites, all_neighbours) in _walk(ctx.rules):
            pairs, mirrored = len(sites), 8 - offset
            at_sites, at_neighbours = gradient.index_select(0, all_sites), gradient.index_select(0, all_neighbours)
            if features_gradient is not None:
                features_gradient.index_add_(0, neighbours, row_product(at_sites, weight[offset])[:pairs])
                features_gradient.index_add_(0, sites, row_product(at_neighbours, weight[mirrored])[:pairs])
            if weight_gradient is not None:
                # What fills the lists up shall add nothing.
                at_sites[pairs:], at_neighbours[pairs:] = 0, 0
                weight_gradient[offset] = outer_product(at_sites, features.index_select(0, all_neighbours))
                weight_gradient[mirrored] = outer_product(at_neighbours, features.index_select(0, all_sites))
        return features_gradient, weight_gradient, None


def _walk(rules: RuleBook) -> Iterator[tuple[int, tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """Offsets before the centre, each with its pairs (sites, neighbours) and the same filled up."""
    return enumerate((*pairs, *filled) for pairs, filled in zip(rules.pairs, rules.padded_pairs, strict=True))
