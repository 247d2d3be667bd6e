"""Ragged softmax and top-p as they are defined, frame by frame: the truth that the fast path is compared with."""

import itertools

import torch
from torch import Tensor


def ragged_softmax_naive(scores: Tensor, frame_offsets: Tensor) -> Tensor:
    """Softmax over the sites of each frame on its own.

    Args:
        scores: (sites,) float, frames one after the other.
        frame_offsets: (frames + 1,) int64; the sites of frame f are `frame_offsets[f]:frame_offsets[f + 1]`.
    """
    borders = frame_offsets.tolist()
    parts = [scores[start:end].softmax(dim=0) for start, end in itertools.pairwise(borders)]
    return torch.cat(parts) if parts else scores


def top_p_naive(weights: Tensor, frame_offsets: Tensor, p: float) -> Tensor:
    """Top-p of each frame on its own: walk down the sites by weight until those before them hold p of it.

    Args:
        weights: (sites,) float, not negative, adding up to 1 in each frame.
        frame_offsets: (frames + 1,) int64.
        p: Share of the weight to keep, in (0, 1].

    Returns:
        (sites,) bool, True where kept.
    """
    keep = torch.zeros(len(weights), dtype=torch.bool)
    borders = frame_offsets.tolist()
    for start, end in itertools.pairwise(borders):
        passed = 0.0
        for site in sorted(range(start, end), key=lambda each: (-float(weights[each]), each)):
            if passed >= p and p < 1:
                break
            keep[site] = True
            passed += float(weights[site])
    return keep
