"""Batch normalisation in training, a 2x2 maximum if asked for, and ReLU, as one step that keeps only its input.

PyTorch writes and reads a result for each of the three, and keeps where each maximum stood in 8 bytes. Here the
backward pass finds signs and maxima anew from the input. Statistics are of all rows (Ioffe and Szegedy 2015), in
float64.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from mme2e.ops.compiler import call, can_compile

_SOURCE = Path(__file__).with_name("kernels.c")

_STRIPES = 16
"""Parts of the rows that are summed up by themselves."""


def is_plain(norm: _BatchNorm) -> bool:
    """Whether a norm is PyTorch's own, with weights and averages that move by a momentum.

    One with a forward pass of its own, say over several processes, is not.
    """
    averages = norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum
    return type(norm).forward is _BatchNorm.forward and norm.affine and all(each is not None for each in averages)


def can_normalise(x: Tensor, norm: _BatchNorm) -> bool:
    """Whether a norm `is_plain`, and x is where the kernels compute: float32 or float64 on a CPU, not under autocast.

    Args:
        x: What is normalised.
        norm: Of its channels.
    """
    return (
        is_plain(norm)
        and norm.weight.dtype == x.dtype
        and not torch.is_autocast_enabled(x.device.type)
        and can_compile(_SOURCE, x.device, x.dtype)
    )


def scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """What a norm with averages multiplies with and adds in evaluation, (channels,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def batch_norm_relu(x: Tensor, norm: _BatchNorm, *, pool: bool = False, bias: Tensor | None = None) -> Tensor:
    """`relu(norm(x))`, or `relu(max_pool2d(norm(x), 2))`; moves the norm's averages. See `can_normalise`.

    Args:
        x: (rows, channels), or maps (maps, channels, height, width).
        norm: In training.
        pool: Whether maps are halved by a 2x2 maximum; an odd last row or column is left out.
        bias: (channels,) would have been added to x: it changes nothing but the average that is kept. Its gradient is
            zero, not None: data-parallel training waits for one.

    Returns:
        (rows, channels), or (maps, channels, height, width), halved with `pool`, channels-last.

    Raises:
        ValueError: There are fewer than two values a channel.
    """
    if x.numel() // x.shape[1] < 2:
        raise ValueError(
            f"batch normalisation requires more than one value a channel in training, not {tuple(x.shape)}"
        )
    result, mean, variance = _BatchNormRelu.apply(x, bias, norm.weight, norm.bias, norm.eps, pool)
    move_averages(norm, mean if bias is None else mean + bias.detach(), variance)
    return result


def move_averages(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Moves a norm's averages by its momentum towards those of a batch.

    Args:
        norm: With averages.
        mean: (channels,).
        variance: (channels,), unbiased.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    with torch.no_grad():
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_(variance.to(norm.running_var.dtype), norm.momentum)
        norm.num_batches_tracked.add_(1)


class _BatchNormRelu(torch.autograd.Function):
    """Input, bias that was left out, weight and bias of the norm -> result, mean, unbiased variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, left_out: Tensor | None, weight: Tensor, bias: Tensor, eps: float, pool: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Statistics in one pass, the result in another."""
        x = x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.contiguous_format)
        rows, mean, variance = _statistics(x)
        inverse = (variance / rows + eps).rsqrt()
        scale = inverse * weight
        parts = [each.to(x.dtype) for each in (scale, bias - mean * scale)]
        result = _empty_result(x, pool=pool)
        name, sizes = _variant("normalise", x, pool)
        call(_SOURCE, name, x.dtype, (x, *parts, result), sizes)
        ctx.save_for_backward(x, *parts, mean, inverse)
        ctx.pool, ctx.rows, ctx.has_left_out = pool, rows, left_out is not None
        unbiased = variance / (rows - 1)
        ctx.mark_non_differentiable(mean, unbiased)
        return result, mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """What mean and variance pass on is a straight line in the input, so that it takes a slope and an offset."""
        x, scale, shift, mean, inverse = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.contiguous_format)
        sums = x.new_empty(_STRIPES, 2, len(mean))
        name, sizes = _variant("gradient_sums", x, ctx.pool)
        call(_SOURCE, name, x.dtype, (x, gradient, scale, shift, mean.to(x.dtype), sums), (_STRIPES, *sizes))
        grad_bias, with_x = sums.sum(0, dtype=torch.float64)
        grad_weight = with_x * inverse
        slope = scale * inverse * grad_weight / -ctx.rows
        offset = scale * grad_bias / -ctx.rows - slope * mean
        grad_x = torch.empty_like(x)
        name, sizes = _variant("gradient_of_x", x, ctx.pool)
        tensors = (x, gradient, scale, shift, slope.to(x.dtype), offset.to(x.dtype), grad_x)
        call(_SOURCE, name, x.dtype, tensors, sizes)
        grad_left_out = torch.zeros_like(shift) if ctx.has_left_out else None
        return grad_x, grad_left_out, grad_weight.to(x.dtype), grad_bias.to(x.dtype), None, None


def _statistics(x: Tensor) -> tuple[int, Tensor, Tensor]:
    """How many rows there are, and of each channel the mean and the sum of squared deviations, float64."""
    channels = x.shape[1]
    rows = x.numel() // channels
    means, deviations = (torch.empty(_STRIPES, channels, dtype=torch.float64) for _ in range(2))
    call(_SOURCE, "statistics", x.dtype, (x, means, deviations), (_STRIPES, rows, channels))
    edges = torch.arange(_STRIPES + 1) * rows // _STRIPES
    counts = edges.diff().unsqueeze(1)
    mean = (means * counts).sum(0) / rows
    return rows, mean, (deviations + counts * (means - mean).square()).sum(0)


def _empty_result(x: Tensor, *, pool: bool) -> Tensor:
    if not pool:
        return torch.empty_like(x)
    maps, channels, height, width = x.shape
    return torch.empty(maps, channels, height // 2, width // 2, dtype=x.dtype, memory_format=torch.channels_last)


def _variant(name: str, x: Tensor, pool: bool) -> tuple[str, tuple[int, ...]]:
    channels = x.shape[1]
    if pool:
        return f"{name}_pooled", (len(x), *x.shape[2:], channels)
    return name, (x.numel() // channels, channels)
