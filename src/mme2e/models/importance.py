"""Attention that learns which sites the loss depends on, by their Taylor importance (Molchanov et al. 2017).

Leaving a site out changes the loss, to first order, by the product of its features with their gradient. The layers that
follow adapt to what they are given, so that the sign of that product can average out over training; its size can not.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.ops.sparse_conv2d import Sites
from mme2e.ops.top_p import ragged_softmax

_EQUAL_SHARE = 0.8
"""Part of a frame's weight that all sites share alike in what attention shall become: so a share p of the weight stays
about a share p of the sites, as it is where attention begins, and does not become the few that matter most."""


def taylor_importance(features: Tensor, gradient: Tensor) -> Tensor:
    """|features . gradient| of each site: (sites, channels) twice to (sites,)."""
    return torch.linalg.vecdot(gradient, features).abs()


def learn_importance(features: Tensor, scores: Tensor, sites: Sites) -> Tensor:
    """The features as they are; in the backward pass the attention learns where the loss depends on them.

    In each frame the softmax of the scores gets the gradient of its Kullback-Leibler divergence from a mixture of the
    sites' importance (`taylor_importance`) and equal shares. All frames count alike, except that one on which the loss
    does not depend teaches nothing; all are multiplied by the importance that frames have on average, so that the
    gradient scales with the loss.

    Args:
        features: (sites, channels).
        scores: (sites,), the attention's.
        sites: Where they are; frames may be empty.

    Returns:
        (sites, channels), the same numbers.
    """
    return _LearnImportance.apply(features, scores, sites)


class _LearnImportance(torch.autograd.Function):
    """Features, scores, sites -> features."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scores: Tensor, sites: Sites) -> Tensor:
        """Keeps the features, which the convolution that follows keeps anyway."""
        ctx.save_for_backward(features, scores)
        ctx.sites = sites
        return features.view_as(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """The features' gradient goes through."""
        features, scores = ctx.saved_tensors
        frame, offsets = ctx.sites.frame, ctx.sites.frame_offsets
        importance = taylor_importance(features, gradient).to(scores.dtype)
        counts = offsets.diff()
        of_frame = scores.new_zeros(len(counts)).index_add_(0, frame, importance).index_select(0, frame)
        equal = counts.to(scores.dtype).reciprocal().index_select(0, frame)
        target = torch.lerp(importance / of_frame, equal, _EQUAL_SHARE)
        grad_scores = (ragged_softmax(scores, offsets) - target) * (importance.sum() / len(counts))
        return gradient, grad_scores.where(of_frame > 0, 0), None
