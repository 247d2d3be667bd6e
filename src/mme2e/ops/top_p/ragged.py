"""Ragged softmax and top-p over all frames of a batch at once, without a Python loop."""

import math

import torch
from torch import Tensor

from mme2e.errors import UserError

_WHOLE = 2.0**60
"""What a frame's weight of 1 is in whole numbers."""


def check_top_p(p: float) -> None:
    """Refuses a share outside (0, 1].

    Raises:
        UserError: p is not in (0, 1].
    """
    if not 0 < p <= 1:
        raise UserError(f"top_p must be in (0, 1], not {p}")


def frame_of_site(frame_offsets: Tensor, sites: int) -> Tensor:
    """Frame index (sites,) of each site, from the frames' borders (frames + 1,)."""
    frames = torch.arange(len(frame_offsets) - 1, device=frame_offsets.device)
    return torch.repeat_interleave(frames, frame_offsets.diff(), output_size=sites)


def ragged_softmax(scores: Tensor, frame_offsets: Tensor) -> Tensor:
    """Softmax over the sites of each frame.

    Args:
        scores: (sites,) float, frames one after the other.
        frame_offsets: (frames + 1,) int64; frames may be empty.

    Returns:
        (sites,) float, adding up to 1 in each frame that has a site. Differentiable.
    """
    frames = len(frame_offsets) - 1
    frame = frame_of_site(frame_offsets, len(scores))
    highest = scores.detach().new_full((frames,), float("-inf"))
    highest = highest.scatter_reduce(0, frame, scores.detach(), "amax")
    exponentials = (scores - highest[frame]).exp()
    totals = exponentials.new_zeros(frames).index_add(0, frame, exponentials)
    return exponentials / totals[frame]


def top_p_mask(weights: Tensor, frame_offsets: Tensor, p: float) -> Tensor:
    """The fewest heaviest sites of each frame that hold at least p of its weight.

    A site is kept when the sites before it, by falling weight, hold less than p (Dai et al. 2021, section 4.2). So
    every frame that has a site keeps one; equal weights go by order of sites; p = 1 keeps all, whatever rounding
    does to the sum. Sums are exact to 2^-60 of the weight. A frame with NaN keeps all, so that NaN is not lost.

    Args:
        weights: (sites,) float, not negative, adding up to 1 in each frame.
        frame_offsets: (frames + 1,) int64.
        p: Share of the weight to keep, in (0, 1].

    Returns:
        (sites,) bool, True where kept.

    Raises:
        UserError: p is not in (0, 1].
    """
    check_top_p(p)
    if p == 1 or not len(weights):
        return torch.ones_like(weights, dtype=torch.bool)
    counts = frame_offsets.diff()
    frame = frame_of_site(frame_offsets, len(weights))
    place = torch.arange(len(weights), device=weights.device) - frame_offsets[frame]
    # Frames side by side, short ones filled with a weight that no site has, so that the filling sorts last.
    table = weights.new_full(
        (len(counts), int(counts.max())), -1.0, dtype=torch.promote_types(weights.dtype, torch.float32)
    )
    table[frame, place] = weights.detach().to(table.dtype)
    ordered, order = table.sort(dim=1, descending=True, stable=True)
    # Summed as whole numbers: float32 would round, Apple's GPUs have no float64, and CUDA has no deterministic sum of
    # floats but one that takes the square of the memory.
    parts = (ordered * _WHOLE).long()
    before = parts.cumsum(dim=1) - parts
    keeps = (before < math.ceil(p * _WHOLE)) | ordered.isnan().any(dim=1, keepdim=True)
    kept = torch.empty_like(table, dtype=torch.bool).scatter_(1, order, keeps)
    return kept[frame, place]
