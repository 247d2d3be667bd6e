"""Attention that learns which sites the loss depends on, by their Taylor importance (Molchanov et al. 2017).

Leaving a site out changes the loss, to first order, by the product of its features with their gradient. Over training
the sign of that product averages out, because the layers that follow adapt to what they are given; its size does not.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_EQUAL_SHARE = 0.8
"""Part of a frame's weight that all sites share alike in what attention shall become: so a share p of the weight stays
about a share p of the sites, as it is where attention begins, and does not become the few that matter most."""


def learn_importance(features: Tensor, weights: Tensor, frame: Tensor, frames: int) -> Tensor:
    """The features as they are; on the way back the attention weights learn where the loss depends on them.

    A site's importance is |features . gradient|. In each frame the weights, as shares of what these sites have of it,
    get the gradient of their Kullback-Leibler divergence from a mixture of the sites' importance and equal shares. All
    frames count alike, except that one on which the loss does not depend teaches nothing; all are multiplied by the
    importance that frames have on average, so that the gradient scales with the loss.

    Args:
        features: (sites, channels).
        weights: (sites,) positive, the attention weights of these sites.
        frame: (sites,) int64, each site's frame.
        frames: Number of frames; some may have no site.

    Returns:
        (sites, channels), the same numbers.
    """
    return _LearnImportance.apply(features, weights, frame, frames)


class _LearnImportance(torch.autograd.Function):
    """Features, weights, frame, frames -> features."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Tensor, frame: Tensor, frames: int) -> Tensor:
        """Keeps the features, which the convolution that follows keeps anyway."""
        ctx.save_for_backward(features, weights, frame)
        ctx.frames = frames
        return features.view_as(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The features' gradient goes through."""
        features, weights, frame = ctx.saved_tensors
        importance = torch.linalg.vecdot(gradient, features).abs().to(weights.dtype)

        def total(values: Tensor) -> Tensor:
            return values.new_zeros(ctx.frames).index_add_(0, frame, values).index_select(0, frame)

        of_frame = total(importance)
        wanted = torch.lerp(importance / of_frame, 1 / total(torch.ones_like(weights)), _EQUAL_SHARE)
        lowest = torch.finfo(weights.dtype).tiny ** 0.5  # far below what is kept, unless p = 1 keeps everything
        of_weights = (1 / total(weights) - wanted / weights.clamp_min(lowest)) * (importance.sum() / ctx.frames)
        return gradient, of_weights.where(of_frame > 0, 0), None, None
