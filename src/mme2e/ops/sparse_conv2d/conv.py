"""Submanifold 3x3 convolution: one function, five ways to compute it."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d import compiled
from mme2e.ops.sparse_conv2d.compiled import can_compile, check_compiled, convolve
from mme2e.ops.sparse_conv2d.gather import GatherConv2d
from mme2e.ops.sparse_conv2d.naive import submanifold_conv2d_naive
from mme2e.ops.sparse_conv2d.sparse_maps import SparseMaps
from mme2e.ops.sparse_conv2d.table_conv import TableConv2d
from mme2e.ops.sparse_conv2d.triton_conv import DTYPES, check_triton, triton_is_installed

Path = Literal["auto", "compiled", "gather", "triton", "dense", "naive"]

_TRAFFIC_COST = 33.0
"""Multiply-adds that a number gathered or added costs the gather path; fitted with benchmarks/sparse_conv2d.py."""

_KERNEL_COST = 1.05
"""Time of a product of the compiled kernel, as a multiple of one of oneDNN's dense convolution; fitted likewise."""

_CUDA_DENSE_DENSITY = 0.8
"""Share of active sites from which CUDA takes the dense path. Not measured yet: cuDNN is expected to be somewhat faster
for each product than the Triton kernel, which saves the products of the other sites."""


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
        return maps.with_features(convolve(features, neighbours, weight, scale_and_shift=(scale, shift)))
    return maps.with_features(F.relu_(torch.addcmul(shift, _by_path(maps, weight, path), scale)))


def _by_path(maps: SparseMaps, weight: Tensor, path: Path) -> Tensor:
    if path == "gather":
        return GatherConv2d.apply(maps.features, weight, maps.sites.rule_book)
    if path == "compiled":
        check_compiled(maps.features)
        return TableConv2d.apply(maps.features, weight, maps.sites.neighbours, compiled)
    if path == "triton":
        check_triton(maps.features)
        from mme2e.ops.sparse_conv2d import triton_kernels

        return TableConv2d.apply(maps.features, weight, maps.sites.neighbours, triton_kernels)
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
    return _KERNEL_COST * maps.sites.num_products / max(1, maps.sites.dense_products)


def gather_cost(maps: SparseMaps, in_channels: int, out_channels: int) -> float:
    """Estimated time of the gather path as a multiple of the dense path's, on the CPU."""
    if not maps.sites.cells:
        return 0.0
    products = maps.sites.num_products
    traffic = _TRAFFIC_COST * (in_channels + 2 * out_channels) / (in_channels * out_channels)
    return products / (9 * maps.sites.cells) * (1 + traffic)


def _cpu_path(maps: SparseMaps, weight: Tensor) -> Path:
    if can_compile(maps.features.device, maps.features.dtype):
        return "compiled" if compiled_cost(maps) < 1 else "dense"
    return "gather" if gather_cost(maps, weight.shape[2], weight.shape[1]) < 1 else "dense"


def cuda_path(maps: SparseMaps) -> Path:
    """What "auto" takes on CUDA; nothing is asked of the device, so that the host does not wait for it."""
    if maps.sites.density >= _CUDA_DENSE_DENSITY:
        return "dense"
    return "triton" if triton_is_installed() and maps.features.dtype in DTYPES else "gather"


def _check(maps: SparseMaps, weight: Tensor) -> None:
    features = maps.features
    channels = features.shape[1]
    if weight.dim() != 3 or weight.shape[0] != 9 or weight.shape[2] != channels:
        raise UserError(f"weights {tuple(weight.shape)} do not fit {channels} channels: (9, out, {channels}) is wanted")
    if weight.device != features.device or weight.dtype != features.dtype:
        given, wanted = f"{weight.dtype} on {weight.device}", f"{features.dtype} on {features.device}"
        raise UserError(f"weights are {given}, features {wanted}: they must agree")
