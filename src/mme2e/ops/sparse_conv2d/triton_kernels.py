"""Triton kernels of the submanifold convolution: neighbours are gathered where they are multiplied, never stored.

This module needs Triton; `triton_conv.py` imports it only when the path is taken.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

_WEIGHT_PROGRAMS = 1024
"""Programs that the gradient of the weights is spread over: some for every multiprocessor of a large GPU. A constant,
so that sums are added in the same order on every GPU. Not measured yet."""


@triton.jit
def _convolve(
    features: tl.tensor,
    neighbours: tl.tensor,
    weight: tl.tensor,
    output: tl.tensor,
    num_sites: tl.tensor,
    offset_step: tl.tensor,
    out_step: tl.tensor,
    in_step: tl.tensor,
    in_channels: tl.constexpr,
    out_channels: tl.constexpr,
    block_sites: tl.constexpr,
    block_out: tl.constexpr,
    block_in: tl.constexpr,
    precision: tl.constexpr,
    widen: tl.constexpr,
) -> None:
    """Fetches the neighbours of a block of sites at each offset, multiplies them with the offset's matrix, adds."""
    # Programs of the same sites are neighbours, so that the rows they share are still in the cache.
    out_blocks: tl.constexpr = (out_channels + block_out - 1) // block_out
    program = tl.program_id(0)
    site = (program // out_blocks) * block_sites + tl.arange(0, block_sites)
    out = (program % out_blocks) * block_out + tl.arange(0, block_out)
    is_site = site < num_sites
    is_out = out < out_channels
    total = tl.zeros((block_sites, block_out), dtype=tl.float32)
    for offset in range(9):
        neighbour = tl.load(neighbours + site.to(tl.int64) * 9 + offset, mask=is_site, other=-1)
        if tl.max(neighbour, axis=0) >= 0:  # else nobody here has this neighbour
            row = features + neighbour.to(tl.int64) * in_channels
            matrix = weight + offset * offset_step + out * out_step
            for first in range(0, in_channels, block_in):
                channel = first + tl.arange(0, block_in)
                is_channel = channel < in_channels
                found = (neighbour >= 0)[:, None] & is_channel[None, :]
                left = tl.load(row[:, None] + channel[None, :], mask=found, other=0.0)
                inside = is_channel[:, None] & is_out[None, :]
                right = tl.load(matrix[None, :] + channel[:, None] * in_step, mask=inside, other=0.0)
                if widen:
                    left = left.to(tl.float32)
                    right = right.to(tl.float32)
                total = tl.dot(left, right, total, input_precision=precision)
    place = output + site.to(tl.int64)[:, None] * out_channels + out[None, :]
    tl.store(place, total.to(output.dtype.element_ty), mask=is_site[:, None] & is_out[None, :])


@triton.jit
def _weight_gradient(
    gradient: tl.tensor,
    features: tl.tensor,
    neighbours: tl.tensor,
    partial_sums: tl.tensor,
    num_sites: tl.tensor,
    blocks_per_split: tl.tensor,
    in_channels: tl.constexpr,
    out_channels: tl.constexpr,
    block_sites: tl.constexpr,
    block_out: tl.constexpr,
    block_in: tl.constexpr,
    precision: tl.constexpr,
    widen: tl.constexpr,
) -> None:
    """Adds up one block of one offset's matrix over one stretch of the sites."""
    in_blocks: tl.constexpr = (in_channels + block_in - 1) // block_in
    out_blocks: tl.constexpr = (out_channels + block_out - 1) // block_out
    program = tl.program_id(0)
    channel = (program % in_blocks) * block_in + tl.arange(0, block_in)
    out = (program // in_blocks % out_blocks) * block_out + tl.arange(0, block_out)
    split_and_offset = program // (in_blocks * out_blocks)
    offset = split_and_offset % 9
    first_block = (split_and_offset // 9) * blocks_per_split
    is_channel = channel < in_channels
    is_out = out < out_channels
    total = tl.zeros((block_out, block_in), dtype=tl.float32)
    for block in range(first_block, first_block + blocks_per_split):
        site = block * block_sites + tl.arange(0, block_sites)
        neighbour = tl.load(neighbours + site.to(tl.int64) * 9 + offset, mask=site < num_sites, other=-1)
        found = neighbour >= 0
        # Gradients of sites without this neighbour are not read: zero times infinity would not be zero. Blocks without
        # any are not skipped, as in the convolution: the condition would keep the compiler from fetching ahead.
        above = gradient + site.to(tl.int64)[None, :] * out_channels + out[:, None]
        left = tl.load(above, mask=found[None, :] & is_out[:, None], other=0.0)
        below = features + neighbour.to(tl.int64)[:, None] * in_channels + channel[None, :]
        right = tl.load(below, mask=found[:, None] & is_channel[None, :], other=0.0)
        if widen:
            left = left.to(tl.float32)
            right = right.to(tl.float32)
        total = tl.dot(left, right, total, input_precision=precision)
    matrix = partial_sums + split_and_offset.to(tl.int64) * (out_channels * in_channels)
    place = matrix + out[:, None] * in_channels + channel[None, :]
    tl.store(place, total, mask=is_out[:, None] & is_channel[None, :])


INTERPRETED = not isinstance(_convolve, triton.JITFunction)
"""Whether the kernels run in Triton's interpreter (TRITON_INTERPRET=1 when Triton was imported), also on the CPU."""


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """How a product is cut. Sizes are powers of two from 16 on: tensor cores take no less.

    The table of `convolution_tiles` and `gradient_tiles` is chosen by reasoning about registers and shared memory and
    not measured yet. It does not depend on the number of sites, which differs from batch to batch.
    """

    block_sites: int
    block_out: int
    block_in: int
    num_warps: int
    num_stages: int


def convolution_tiles(dtype: torch.dtype, in_channels: int, out_channels: int) -> Tiles:
    """Cut of the output into programs (sites, out) and of their sums into steps (in)."""
    half = dtype.itemsize == 2
    block_out = _block(out_channels, 128 if half else 64)
    return Tiles(
        block_sites=128 if half else 64,
        block_out=block_out,
        block_in=_block(in_channels, 32),
        num_warps=8 if block_out == 128 else 4,
        num_stages=3,
    )


def gradient_tiles(dtype: torch.dtype, in_channels: int, out_channels: int) -> Tiles:
    """Cut of a weight's gradient into programs (out, in) and of their sums into steps (sites)."""
    return Tiles(
        block_sites=64 if dtype.itemsize == 2 else 32,
        block_out=_block(out_channels, 64),
        block_in=_block(in_channels, 64),
        num_warps=4,
        num_stages=3,
    )


def convolve(features: Tensor, neighbours: Tensor, weight: Tensor, *, mirrored: bool = False) -> Tensor:
    """For every site the sum over offsets of the offset's matrix times the neighbour's features.

    Args:
        features: (sites, in_channels) float32, bfloat16 or float16, contiguous.
        neighbours: (sites, 9) int32 as in `Sites.neighbours`.
        weight: (9, out_channels, in_channels), any strides.
        mirrored: Whether offset k takes the matrix of offset 8 - k.

    Returns:
        (sites, out_channels); sums are float32 and rounded once.
    """
    num_sites, in_channels = features.shape
    out_channels = weight.shape[1]
    if mirrored:
        weight = weight.flip(0)
    output = features.new_empty(num_sites, out_channels)
    if not output.numel():
        return output
    tiles = convolution_tiles(features.dtype, in_channels, out_channels)
    programs = triton.cdiv(num_sites, tiles.block_sites) * triton.cdiv(out_channels, tiles.block_out)
    with torch.cuda.device_of(features):
        _convolve[(programs,)](
            features,
            neighbours,
            weight,
            output,
            num_sites,
            *weight.stride(),
            in_channels=in_channels,
            out_channels=out_channels,
            block_sites=tiles.block_sites,
            block_out=tiles.block_out,
            block_in=tiles.block_in,
            precision=float32_precision(),
            widen=INTERPRETED,
            num_warps=tiles.num_warps,
            num_stages=tiles.num_stages,
        )
    return output


def weight_gradient(gradient: Tensor, features: Tensor, neighbours: Tensor) -> Tensor:
    """For every offset the sum over sites of their gradient times their neighbour's features.

    Stretches of the sites are summed by different programs and then added: always in the same order.

    Args:
        gradient: (sites, out_channels), contiguous.
        features: (sites, in_channels), contiguous.
        neighbours: (sites, 9) int32.

    Returns:
        (9, out_channels, in_channels) float32.
    """
    num_sites, in_channels = features.shape
    out_channels = gradient.shape[1]
    if not gradient.numel() or not features.numel():
        return features.new_zeros(9, out_channels, in_channels, dtype=torch.float32)
    tiles = gradient_tiles(features.dtype, in_channels, out_channels)
    blocks = triton.cdiv(num_sites, tiles.block_sites)
    matrix_programs = 9 * triton.cdiv(out_channels, tiles.block_out) * triton.cdiv(in_channels, tiles.block_in)
    blocks_per_split = triton.cdiv(blocks, max(1, _WEIGHT_PROGRAMS // matrix_programs))
    splits = triton.cdiv(blocks, blocks_per_split)
    partial_sums = features.new_empty(splits, 9, out_channels, in_channels, dtype=torch.float32)
    with torch.cuda.device_of(features):
        _weight_gradient[(splits * matrix_programs,)](
            gradient,
            features,
            neighbours,
            partial_sums,
            num_sites,
            blocks_per_split,
            in_channels=in_channels,
            out_channels=out_channels,
            block_sites=tiles.block_sites,
            block_out=tiles.block_out,
            block_in=tiles.block_in,
            precision=float32_precision(),
            widen=INTERPRETED,
            num_warps=tiles.num_warps,
            num_stages=tiles.num_stages,
        )
    return partial_sums.sum(0)


def _block(channels: int, most: int) -> int:
    return min(most, max(16, triton.next_power_of_2(channels)))


def float32_precision() -> str:
    """What `torch.backends.cuda.matmul` allows float32 products: "tf32" or "ieee"."""
    matmul = torch.backends.cuda.matmul
    setting = getattr(matmul, "fp32_precision", None)
    if setting is None:  # torch before 2.9
        setting = "tf32" if matmul.allow_tf32 else "ieee"
    return "tf32" if setting == "tf32" else "ieee"
