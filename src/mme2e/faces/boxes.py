"""Arithmetic on boxes (n, 4): x1, y1, x2, y2 in pixels."""

import numpy as np
import torch
from torch import Tensor

NMS_ELEMENTS = 1 << 24  # of the overlap matrix held at once: 64 MB
FEW = 128  # boxes; up to so many, plain numpy suppresses quicker on a CPU
NMS_CANDIDATES = 4096  # of one group; more than any frame of people gives


def squared(boxes: Tensor) -> Tensor:
    """The squares around the same centres with the longer side."""
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
    corner = (boxes[:, :2] + boxes[:, 2:] - side) / 2
    return torch.cat([corner, corner + side], 1)


def shifted(boxes: Tensor, shifts: Tensor, *, inclusive: bool = False) -> Tensor:
    """Moves edges by shares of width and height; `inclusive`: the last pixel counts, sides are one longer."""
    size = boxes[:, 2:] - boxes[:, :2] + int(inclusive)
    return boxes + shifts * size.repeat(1, 2)


def area(boxes: Tensor) -> Tensor:
    """Width times height, (n,)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlap(a: Tensor, b: Tensor, *, of_smaller: bool = False) -> Tensor:
    """Intersection over union of boxes, (..., 4) and (..., 4) broadcast; `of_smaller`: over the smaller box."""
    corner = torch.maximum(a[..., :2], b[..., :2])
    size = (torch.minimum(a[..., 2:], b[..., 2:]) - corner).clamp(min=0)
    shared = size[..., 0] * size[..., 1]
    whole = torch.minimum(area(a), area(b)) if of_smaller else area(a) + area(b) - shared
    return shared / whole.clamp(min=1e-6)


def suppress(boxes: Tensor, scores: Tensor, group: Tensor, threshold: float, *, of_smaller: bool = False) -> Tensor:
    """Non-maximum suppression of many groups at once.

    Greedy suppression keeps a box unless a better one that is kept overlaps it. All groups are padded to the largest
    and this rule is applied to all boxes together until nothing changes; the k best of every group are right after
    k rounds, in practice after three or four.

    Args:
        boxes: (n, 4).
        scores: (n,).
        group: (n,) int64; boxes of different groups never suppress each other.
        threshold: Largest overlap that is tolerated.
        of_smaller: Measure the overlap by the smaller box instead of the union.

    Returns:
        Indices of the boxes that are kept, by group, the best first.
    """
    if not len(boxes):
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    if boxes.device.type == "cpu" and len(boxes) <= FEW:
        return torch.from_numpy(_suppress_few(boxes.numpy(), scores.numpy(), group.numpy(), threshold, of_smaller))
    order = scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    _, group, sizes = torch.unique_consecutive(group[order], return_inverse=True, return_counts=True)
    rank = torch.arange(len(order), device=boxes.device) - (sizes.cumsum(0) - sizes)[group]
    order, group, rank = (x[rank < NMS_CANDIDATES] for x in (order, group, rank))
    width = int(rank.max()) + 1
    padded = boxes.new_zeros(len(sizes), width, 4)
    padded[group, rank] = boxes[order]
    blocks = padded.split(max(1, NMS_ELEMENTS // width**2))
    keep = torch.cat([_keep_greedily(block, threshold, of_smaller) for block in blocks])
    return order[keep[group, rank]]


def _suppress_few(
    boxes: np.ndarray, scores: np.ndarray, group: np.ndarray, threshold: float, of_smaller: bool
) -> np.ndarray:
    """`suppress` in plain greedy steps: for few boxes that is quicker than many small operations on tensors."""
    order = np.lexsort((-scores, group))  # stable
    boxes, group = boxes[order], group[order]
    x1, y1, x2, y2 = boxes.T
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
    shared = width.clip(min=0) * height.clip(min=0)
    areas = (x2 - x1) * (y2 - y1)
    whole = np.minimum(areas[:, None], areas) if of_smaller else areas[:, None] + areas - shared
    too_close = (shared / whole.clip(min=1e-6) > threshold) & (group[:, None] == group)
    keep = np.ones(len(order), dtype=bool)
    for better in range(len(order)):
        if keep[better]:
            keep[better + 1 :] &= ~too_close[better, better + 1 :]
    return order[keep]


def _keep_greedily(boxes: Tensor, threshold: float, of_smaller: bool) -> Tensor:
    """(groups, n, 4), the best first -> (groups, n) bool."""
    too_close = overlap(boxes[:, :, None], boxes[:, None], of_smaller=of_smaller) > threshold
    rivals = too_close.triu(1).float()  # [g, i, j]: i is better than j and too close to it
    keep = torch.ones(boxes.shape[:2], device=boxes.device)
    while True:
        again = (torch.bmm(keep[:, None], rivals)[:, 0] == 0).float()
        if torch.equal(again, keep):
            return keep.bool()
        keep = again
