"""Submanifold convolution by gathering the pairs of each offset: as sparse backward as forward."""

from typing import Any

import torch
from torch import Tensor

from mme2e.ops.sparse_conv2d.product import outer_product, row_product
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
        for offset, (sites, neighbours) in enumerate(rules.pairs):
            mirrored = 8 - offset
            output.index_add_(0, sites, row_product(features.index_select(0, neighbours), weight[offset].t()))
            output.index_add_(0, neighbours, row_product(features.index_select(0, sites), weight[mirrored].t()))
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The same walk over the pairs with the roles of site and neighbour exchanged."""
        features, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        wants_features, wants_weight, _ = ctx.needs_input_grad
        features_gradient = row_product(gradient, weight[_CENTRE]) if wants_features else None
        weight_gradient = torch.empty_like(weight) if wants_weight else None
        if weight_gradient is not None:
            weight_gradient[_CENTRE] = outer_product(gradient, features)
        for offset, (sites, neighbours) in enumerate(ctx.rules.pairs):
            at_sites, at_neighbours = gradient.index_select(0, sites), gradient.index_select(0, neighbours)
            if features_gradient is not None:
                features_gradient.index_add_(0, neighbours, row_product(at_sites, weight[offset]))
                features_gradient.index_add_(0, sites, row_product(at_neighbours, weight[8 - offset]))
            if weight_gradient is not None:
                weight_gradient[offset] = outer_product(at_sites, features.index_select(0, neighbours))
                weight_gradient[8 - offset] = outer_product(at_neighbours, features.index_select(0, sites))
        return features_gradient, weight_gradient, None
