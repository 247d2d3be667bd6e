"""The first layer over raw maps: convolution, batch normalisation, 2x2 maximum and ReLU in one pass.

Its result before the maximum is the largest of the whole model and cheap to compute, so it is never kept: the backward
pass computes it again. Nor does the normalisation need it. What it needs of the convolution y = W p over all patches
p follows from the patches' mean and covariance C, a small matrix: mean(y) = W mean(p), var(y) = diag(W C W'), and so do
the gradients that mean and variance pass on.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mme2e.ops.batch_norm import can_normalise, move_averages, scale_and_shift
from mme2e.ops.compiler import call, can_compile

_SOURCE = Path(__file__).with_name("kernels.c")


def can_fuse(maps: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether `first_layer` computes it.

    It does for float32 or float64 on a CPU, not under autocast, maps without gradient, an odd square kernel with
    padding that keeps the size, and PyTorch's own norm; out of training only without gradients.

    Args:
        maps: (maps, channels, height, width).
        conv: In front of the norm.
        norm: Of its channels.
    """
    size = conv.kernel_size[0]
    same = conv.kernel_size == (size, size) and size % 2 == 1 and conv.padding == (size // 2, size // 2)
    plain = conv.stride == (1, 1) and conv.dilation == (1, 1) and conv.groups == 1 and conv.padding_mode == "zeros"
    learns = torch.is_grad_enabled()
    return (
        same
        and plain
        and not maps.requires_grad
        and (norm.training or not learns)
        and maps.dtype == conv.weight.dtype
        and can_normalise(maps, norm)
        and can_compile(_SOURCE, maps.device, maps.dtype)
    )


def first_layer(maps: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """`relu(max_pool2d(norm(conv(maps)), 2))`; in training moves the norm's averages. See `can_fuse`.

    An odd last row or column is left out by the maximum. In training the convolution's bias gets a gradient of zero:
    the normalisation subtracts it with the mean.

    Args:
        maps: (maps, in_channels, height, width).
        conv: Its weight is (out_channels, in_channels, size, size).
        norm: Of out_channels.

    Returns:
        (maps, out_channels, height / 2, width / 2), channels-last.

    Raises:
        ValueError: There are fewer than two values a channel in training.
    """
    padding = conv.kernel_size[0] // 2
    padded = F.pad(maps.contiguous(), (padding,) * 4)
    shape = _Shape(padded, conv)
    if not norm.training:
        scale, shift = scale_and_shift(norm)
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        return shape.convolve(padded, _affine(_as_matrix(conv.weight) * scale, shift))
    if shape.places < 2:
        raise ValueError(f"batch normalisation requires more than one value a channel in training, not {shape.places}")
    result, mean, variance = _FirstLayer.apply(padded, conv.weight, conv.bias, norm.weight, norm.bias, norm.eps, shape)
    move_averages(norm, mean if conv.bias is None else mean + conv.bias.detach(), variance)
    return result


class _Shape:
    """Sizes of the maps and of the convolution, as the kernels take them."""

    def __init__(self, padded: Tensor, conv: nn.Conv2d) -> None:
        count, channels, height, width = padded.shape
        size = conv.kernel_size[0]
        self.sizes = (count, height - size + 1, width - size + 1, channels, size)
        self.places = count * self.sizes[1] * self.sizes[2]
        self.depth = size * size * channels + 1
        self.channels = conv.out_channels

    def convolve(self, padded: Tensor, weights: Tensor) -> Tensor:
        """The maximum of each window, with weights and shift (depth, channels), and ReLU."""
        count, height, width = self.sizes[:3]
        result = padded.new_empty(count, height // 2, width // 2, self.channels)
        tensors = (padded, weights.to(padded.dtype), result)
        call(_SOURCE, "convolve_pooled", padded.dtype, tensors, (*self.sizes, self.channels))
        return result.permute(0, 3, 1, 2)

    def patch_products(self, padded: Tensor) -> Tensor:
        """(depth, depth) float64: the sum over all patches of each number times each other."""
        sums = padded.new_empty(self.sizes[0], self.depth, self.depth)
        call(_SOURCE, "patch_products", padded.dtype, (padded, sums), self.sizes)
        return sums.sum(0, dtype=torch.float64)

    def patch_gradients(self, padded: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
        """(depth, channels) float64: the sum over all windows of the highest patch times its gradient."""
        sums = padded.new_empty(self.sizes[0], self.depth, self.channels)
        gradient = gradient.permute(0, 2, 3, 1).contiguous()
        tensors = (padded, weights.to(padded.dtype), gradient, sums)
        call(_SOURCE, "patch_gradients", padded.dtype, tensors, (*self.sizes, self.channels))
        return sums.sum(0, dtype=torch.float64)


def _as_matrix(weight: Tensor) -> Tensor:
    """(out, in, size, size) to (in * size * size, out)."""
    return weight.flatten(1).t()


def _affine(weights: Tensor, shift: Tensor) -> Tensor:
    return torch.cat([weights, shift.unsqueeze(0)])


class _FirstLayer(torch.autograd.Function):
    """Padded maps, weight and bias of the convolution, weight and bias of the norm -> result, mean, variance."""

    @staticmethod
    def forward(
        ctx: Any,
        padded: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
        shape: _Shape,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Statistics of the patches, then the convolution with the normalisation in its weights."""
        products = shape.patch_products(padded)
        mean_patch = products[-1, :-1] / shape.places
        covariance = products[:-1, :-1] / shape.places - torch.outer(mean_patch, mean_patch)
        matrix = _as_matrix(weight).double()
        mean = mean_patch @ matrix
        with_patches = covariance @ matrix
        variance = (with_patches * matrix).sum(0).clamp_min(0)
        inverse = (variance + eps).rsqrt()
        scale = gamma * inverse
        weights = _affine(matrix * scale, beta - mean * scale).to(padded.dtype)
        ctx.save_for_backward(padded, weights, matrix, mean_patch, with_patches, mean, inverse, scale)
        ctx.shape, ctx.weight_shape, ctx.has_bias = shape, weight.shape, bias is not None
        unbiased = variance * (shape.places / (shape.places - 1))
        ctx.mark_non_differentiable(mean, unbiased)
        return shape.convolve(padded, weights), mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the highest patches, less what mean and variance take of it."""
        padded, weights, matrix, mean_patch, with_patches, mean, inverse, scale = ctx.saved_tensors
        sums = ctx.shape.patch_gradients(padded, weights, gradient)
        grad_beta = sums[-1]
        grad_gamma = inverse * ((sums[:-1] * matrix).sum(0) - mean * grad_beta)
        grad_matrix = scale * (sums[:-1] - torch.outer(mean_patch, grad_beta) - with_patches * (inverse * grad_gamma))
        grad_weight = grad_matrix.t().reshape(ctx.weight_shape)
        grad_bias = torch.zeros_like(grad_beta, dtype=padded.dtype) if ctx.has_bias else None
        dtype = padded.dtype
        return None, grad_weight.to(dtype), grad_bias, grad_gamma.to(dtype), grad_beta.to(dtype), None, None
