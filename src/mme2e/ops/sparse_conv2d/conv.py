"""Submanifold 3x3 convolution: one function, five ways to compute it."""

from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d import compiled, gather
from mme2e.ops.sparse_conv2d.compiled import can_compile, check_compiled
from mme2e.ops.sparse_conv2d.naive import submanifold_conv2d_naive
from mme2e.ops.sparse_conv2d.sparse_maps import SparseMaps
from mme2e.ops.sparse_conv2d.triton_conv import DTYPES, check_triton, triton_is_installed

Path = Literal["auto", "compiled", "gather", "triton", "dense", "naive"]

_MATMUL_COST, _TRAFFIC_COST = 1.2, 40.0
"""Time of a MAC of the gather path, and of a number that it gathers or adds, as multiples of a MAC of oneDNN's dense
convolution; fitted with benchmarks/sparse_conv2d.py, by processor time."""

_KERNEL_COST = 1.05
"""Time of a MAC of the compiled kernel, as a multiple of one of oneDNN's dense convolution; fitted likewise."""

_CUDA_DENSE_DENSITY = 0.8
"""Share of active sites from which CUDA takes the dense path. Not measured yet: cuDNN is expected to be somewhat faster
for each MAC than the Triton kernel, which saves those of the other sites."""


def submanifold_conv2d(
    maps: SparseMaps, weight: Tensor, *, path: Path = "auto", scale_and_shift: tuple[Tensor, Tensor] | None = None
) -> SparseMaps:
    """3x3 convolution without bias that reads and writes active sites only (Graham & van der Maaten 2017).

    Args:
        maps: Features (sites, in_channels).
        weight: (9, out_channels, in_channels), offsets row-major (dy, then dx) from -1 to 1.
        path: "gather" computes the pairs of active neighbours, "compiled" the same in one kernel on CPUs, "triton" in
            one on CUDA, "dense" the whole maps, "naive" is the definition; "auto" takes the one that costs least at
            this density and device.
        scale_and_shift: (out_channels,) each: the result is multiplied and shifted by them and goes through a ReLU, as
            normalisation does in evaluation. No gradient then; nothing of that when None.

    Returns:
        The same sites with features (sites, out_channels).

    Raises:
        UserError: Weights and features differ in channels, device or dtype; "compiled" or "triton" is asked for and
            cannot run.
    """
    if scale_and_shift is not None and torch.is_grad_enabled():
        raise ValueError("scale_and_shift goes without gradients")
    device = maps.features.device.type
    if torch.is_autocast_enabled(device):
        reduced = torch.get_autocast_dtype(device)
        maps, weight = maps.with_features(maps.features.to(reduced)), weight.to(reduced)
    _check(maps, weight)
    if path == "auto":
        path = cuda_path(maps) if maps.features.is_cuda else _cpu_path(maps, weight)
    if scale_and_shift is None:
        return maps.with_features(_by_path(maps, weight, path))
    scale, shift = scale_and_shift
    if path == "compiled":
        check_compiled(maps.features)
        features, neighbours = maps.features.contiguous(), maps.sites.neighbours
        return maps.with_features(compiled.convolve(features, neighbours, weight, scale_and_shift=(scale, shift)))
    return maps.with_features(F.relu_(torch.addcmul(shift, _by_path(maps, weight, path), scale)))


def _by_path(maps: SparseMaps, weight: Tensor, path: Path) -> Tensor:
    if path == "gather":
        return _SubmanifoldConv2d.apply(maps.features, weight, maps.sites.pairs, gather)
    if path == "compiled":
        check_compiled(maps.features)
        return _SubmanifoldConv2d.apply(maps.features, weight, maps.sites.neighbours, compiled)
    if path == "triton":
        check_triton(maps.features)
        from mme2e.ops.sparse_conv2d import triton_kernels

        return _SubmanifoldConv2d.apply(maps.features, weight, maps.sites.neighbours, triton_kernels)
    if path == "dense":
        kernel = weight.permute(1, 2, 0).reshape(weight.shape[1], weight.shape[2], 3, 3)
        dense = F.conv2d(maps.to_dense(), kernel, padding=1)
    else:
        inside = maps.with_features(maps.features.new_ones(len(maps.sites), 1)).to_dense().squeeze(1) > 0
        dense = submanifold_conv2d_naive(maps.to_dense(), inside, weight)
    rows = dense.permute(0, 2, 3, 1).reshape(-1, weight.shape[1])
    return rows if len(rows) == len(maps.sites) else rows.index_select(0, maps.sites.positions)


def compiled_cost(maps: SparseMaps) -> float:
    """Estimated time of the compiled path as a multiple of the dense path's."""
    return _KERNEL_COST * maps.sites.num_pairs / max(1, maps.sites.full_pairs)


def gather_cost(maps: SparseMaps, in_channels: int, out_channels: int) -> float:
    """Estimated time of the gather path as a multiple of the dense path's, on the CPU."""
    if not maps.sites.full_sites:
        return 0.0
    traffic = _TRAFFIC_COST * (in_channels + 2 * out_channels) / (in_channels * out_channels)
    return maps.sites.num_pairs / (9 * maps.sites.full_sites) * (_MATMUL_COST + traffic)


def _cpu_path(maps: SparseMaps, weight: Tensor) -> Path:
    if can_compile(maps.features.device, maps.features.dtype):
        return "compiled" if compiled_cost(maps) < 1 else "dense"
    return "gather" if gather_cost(maps, weight.shape[2], weight.shape[1]) < 1 else "dense"


def cuda_path(maps: SparseMaps) -> Path:
    """What "auto" takes on CUDA; nothing is asked of the device, so that the host does not wait for it."""
    if maps.sites.density >= _CUDA_DENSE_DENSITY:
        return "dense"
    return "triton" if triton_is_installed() and maps.features.dtype in DTYPES else "gather"


class _Kernels(Protocol):
    """The modules `gather`, `compiled` and `triton_kernels`; each has its form of the rule book."""

    def convolve(self, features: Tensor, rules: Any, weight: Tensor, *, mirrored: bool = False) -> Tensor:
        """The convolution; `mirrored`: offset k takes the matrix of offset 8 - k."""

    def weight_gradient(self, gradient: Tensor, features: Tensor, rules: Any) -> Tensor:
        """Gradient of the weights (9, out, in)."""


class _SubmanifoldConv2d(torch.autograd.Function):
    """(sites, in) features, (9, out, in) weights and a rule book -> (sites, out)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, rules: Any, kernels: _Kernels) -> Tensor:
        """Multiplies neighbours with the weight of their offset."""
        features = features.contiguous()
        ctx.save_for_backward(features, weight)
        ctx.rules, ctx.kernels = rules, kernels
        return kernels.convolve(features, rules, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """A site is its neighbour's neighbour at the mirrored offset: the features' gradient is a convolution too."""
        features, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        grad_features = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_features = ctx.kernels.convolve(gradient, ctx.rules, weight.transpose(1, 2), mirrored=True)
        if ctx.needs_input_grad[1]:
            grad_weight = ctx.kernels.weight_gradient(gradient, features, ctx.rules).to(weight.dtype)
        return grad_features, grad_weight, None, None


def _check(maps: SparseMaps, weight: Tensor) -> None:
    features = maps.features
    channels = features.shape[1]
    if weight.dim() != 3 or weight.shape[0] != 9 or weight.shape[2] != channels:
        raise UserError(
            f"weights {tuple(weight.shape)} do not fit {channels} channels: expected is (9, out, {channels})"
        )
    if weight.device != features.device or weight.dtype != features.dtype:
        given, expected = f"{weight.dtype} on {weight.device}", f"{features.dtype} on {features.device}"
        raise UserError(f"weights are {given}, features {expected}: they must agree")
