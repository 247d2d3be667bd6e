"""The compiled kernels of the submanifold convolution on CPUs."""

from pathlib import Path

import torch
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops import compiler

SOURCE = Path(__file__).with_name("kernels.c")

_STRIPE_SITES = 4096
"""Sites whose part of the weights' gradient is summed up by itself, so that narrow layers keep all cores at work."""

_MOST_STRIPES = 8


def convolve(
    features: Tensor,
    neighbours: Tensor,
    weight: Tensor,
    *,
    mirrored: bool = False,
    scale_and_shift: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The convolution, without a gradient.

    Args:
        features: (sites, in_channels) float32 or float64, contiguous, on the CPU.
        neighbours: (sites, 9) int32, contiguous.
        weight: (9, out_channels, in_channels), any strides.
        mirrored: Whether offset k takes the matrix of offset 8 - k.
        scale_and_shift: (out_channels,) each, contiguous, for a normalisation and ReLU of the result; none when None.

    Returns:
        (sites, out_channels).
    """
    sites, channels = features.shape
    output = features.new_empty(sites, weight.shape[1])
    sizes = (sites, channels, weight.shape[1], *weight.stride(), mirrored)
    tensors = (features, neighbours, weight, *(scale_and_shift or (None, None)), output)
    compiler.call(SOURCE, "convolve", features.dtype, tensors, sizes)
    return output


def weight_gradient(gradient: Tensor, features: Tensor, neighbours: Tensor) -> Tensor:
    """Gradient of the weights; the same for any number of threads.

    Args:
        gradient: (sites, out_channels) of the convolution's result, contiguous.
        features: (sites, in_channels) that it was computed from, contiguous.
        neighbours: (sites, 9) int32, contiguous.

    Returns:
        (9, out_channels, in_channels).
    """
    sites, before = features.shape
    after = gradient.shape[1]
    stripes = max(1, min(_MOST_STRIPES, sites // _STRIPE_SITES))
    partial = features.new_empty(stripes, 9, after, before)
    compiler.call(
        SOURCE,
        "weight_gradient",
        features.dtype,
        (gradient, features, neighbours, partial),
        (stripes, sites, before, after),
    )
    return partial.sum(0) if stripes > 1 else partial[0]


def can_compile(device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Whether the kernels can compute there; compiles them if need be."""
    return compiler.can_compile(SOURCE, device, dtype)


def check_compiled(features: Tensor) -> None:
    """Says why the kernels cannot compute these features.

    Raises:
        UserError: There is no C compiler, or the features' device or dtype is none of theirs.
    """
    if features.device.type != "cpu" or features.dtype not in compiler.REALS:
        raise UserError(
            f"features are {features.dtype} on {features.device}: path 'compiled' computes float32 and float64 on CPUs"
        )
    compiler.library(SOURCE, features.dtype)
