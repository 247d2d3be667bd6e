"""Submanifold convolution over a table of neighbours, with gather and product in one kernel, forward and backward."""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Kernels(Protocol):
    """The modules `compiled` (CPUs) and `triton_kernels` (CUDA)."""

    def convolve(self, features: Tensor, neighbours: Tensor, weight: Tensor, *, mirrored: bool = False) -> Tensor:
        """The convolution; `mirrored`: offset k takes the matrix of offset 8 - k."""

    def weight_gradient(self, gradient: Tensor, features: Tensor, neighbours: Tensor) -> Tensor:
        """Gradient of the weights (9, out, in)."""


class TableConv2d(torch.autograd.Function):
    """(sites, in) features, (9, out, in) weights and (sites, 9) neighbours -> (sites, out)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, neighbours: Tensor, kernels: Kernels) -> Tensor:
        """Multiplies neighbours with the weight of their offset as they are gathered."""
        features = features.contiguous()
        ctx.save_for_backward(features, weight, neighbours)
        ctx.kernels = kernels
        return kernels.convolve(features, neighbours, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """A site is its neighbour's neighbour at the mirrored offset: the features' gradient is a convolution too."""
        features, weight, neighbours = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_features = of_weight = None
        if ctx.needs_input_grad[0]:
            of_features = ctx.kernels.convolve(gradient, neighbours, weight.transpose(1, 2), mirrored=True)
        if ctx.needs_input_grad[1]:
            of_weight = ctx.kernels.weight_gradient(gradient, features, neighbours).to(weight.dtype)
        return of_features, of_weight, None, None
