"""Submanifold convolution on CUDA with fused gather and product, forward and backward."""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.errors import UserError

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class TritonConv2d(torch.autograd.Function):
    """(sites, in) features, (9, out, in) weights and (sites, 9) neighbours -> (sites, out)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, neighbours: Tensor) -> Tensor:
        """Multiplies neighbours with the weight of their offset as they are gathered."""
        from mme2e.ops.sparse_conv2d.triton_kernels import convolve

        features = features.contiguous()
        ctx.save_for_backward(features, weight, neighbours)
        return convolve(features, neighbours, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """A site is its neighbour's neighbour at the mirrored offset: the features' gradient is a convolution too."""
        from mme2e.ops.sparse_conv2d.triton_kernels import convolve, weight_gradient

        features, weight, neighbours = ctx.saved_tensors
        gradient = gradient.contiguous()
        wants_features, wants_weight, _ = ctx.needs_input_grad
        of_features = convolve(gradient, neighbours, weight.flip(0).transpose(1, 2)) if wants_features else None
        of_weight = weight_gradient(gradient, features, neighbours).to(weight.dtype) if wants_weight else None
        return of_features, of_weight, None


@cache
def triton_is_installed() -> bool:
    """Whether Triton can be imported; it is not imported to find out."""
    return find_spec("triton") is not None


def check_triton(features: Tensor) -> None:
    """Says why the kernels cannot work on these features.

    Raises:
        UserError: Triton is missing, or the features' device or dtype is none of those it computes.
    """
    if not triton_is_installed():
        raise UserError("path 'triton' needs Triton, which is not installed: pip install 'mme2e[triton]' (Linux)")
    from mme2e.ops.sparse_conv2d.triton_kernels import INTERPRETED

    if not features.is_cuda and not INTERPRETED:
        raise UserError(
            f"features are on {features.device}: path 'triton' needs a CUDA device, or Triton's interpreter "
            "(TRITON_INTERPRET=1 in the environment)"
        )
    if features.dtype not in DTYPES:
        names = ", ".join(str(dtype) for dtype in DTYPES)
        raise UserError(f"features are {features.dtype}: path 'triton' computes {names}")
