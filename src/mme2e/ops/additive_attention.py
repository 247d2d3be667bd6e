"""Scores of additive attention over many sites (Bahdanau et al. 2015), a stretch of sites at a time.

The hidden layer has as many numbers as the features themselves. It is computed in stretches that stay in the
processor's cache and never kept: the way back computes it again, which costs less than writing and reading it.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.ops.sparse_conv2d.matmul import outer_product, row_product

_STRETCH = 4096
"""Sites whose hidden layer is computed together on a CPU."""


def additive_scores(features: Tensor, asked: Tensor, frame: Tensor, matrix: Tensor, weight: Tensor) -> Tensor:
    """`tanh(features @ matrix.t() + asked[frame]) @ weight`.

    Args:
        features: (sites, channels).
        asked: (frames, hidden), what is asked of each frame.
        frame: (sites,) int64, each site's frame.
        matrix: (hidden, channels).
        weight: (hidden,).

    Returns:
        (sites,), in the dtype of the features.
    """
    same = [each.to(features.dtype) for each in (asked, matrix, weight)]
    return _AdditiveScores.apply(features.contiguous(), same[0], frame, *same[1:])


class _AdditiveScores(torch.autograd.Function):
    """Features, asked, frame, matrix, weight -> scores."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, asked: Tensor, frame: Tensor, matrix: Tensor, weight: Tensor) -> Tensor:
        """tanh(z) = 2 sigmoid(2 z) - 1, and PyTorch's sigmoid takes a sixth of its tanh's time on CPUs."""
        ctx.save_for_backward(features, asked, frame, matrix, weight)
        scores = features.new_empty(len(features))
        with torch.autocast(features.device.type, enabled=False):
            for part, open_gates in _hidden(features, asked, frame, matrix):
                torch.mv(open_gates, 2 * weight, out=scores[part])
        return scores.sub_(weight.sum())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, Tensor, Tensor]:
        """With s = sigmoid(2 z), the derivative of tanh(z) is 4 s (1 - s)."""
        features, asked, frame, matrix, weight = ctx.saved_tensors
        of_features = torch.empty_like(features) if ctx.needs_input_grad[0] else None
        of_asked, of_matrix, of_weight = (torch.zeros_like(each) for each in (asked, matrix, weight))
        for part, open_gates in _hidden(features, asked, frame, matrix):
            upstream = gradient[part]
            of_weight += 2 * (upstream @ open_gates) - upstream.sum()
            of_hidden = open_gates.addcmul_(open_gates, open_gates, value=-1).mul_(4 * weight)
            of_hidden.mul_(upstream.unsqueeze(1))
            of_asked.index_add_(0, frame[part], of_hidden)
            of_matrix += outer_product(of_hidden, features[part])
            if of_features is not None:
                of_features[part] = row_product(of_hidden, matrix)
        return of_features, of_asked, None, of_matrix, of_weight


def _hidden(features: Tensor, asked: Tensor, frame: Tensor, matrix: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Stretches of sites, and sigmoid(2 z) of each, (stretch, hidden), to be overwritten at will."""
    doubled, asked = 2 * matrix.t(), 2 * asked
    step = _STRETCH if features.device.type == "cpu" else max(1, len(features))
    for first in range(0, len(features), step):
        part = slice(first, first + step)
        yield part, row_product(features[part], doubled).add_(asked.index_select(0, frame[part])).sigmoid_()
