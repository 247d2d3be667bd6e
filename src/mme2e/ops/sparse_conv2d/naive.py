"""Submanifold convolution and sparse pooling as they are defined: dense operations and a mask. The truth."""

import torch
import torch.nn.functional as F
from torch import Tensor


def submanifold_conv2d_naive(maps: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution that reads and writes active sites only.

    Args:
        maps: (frames, in_channels, height, width) float; what stands outside the mask is not read.
        mask: (frames, height, width) bool.
        weight: (9, out_channels, in_channels), offsets row-major (dy, then dx) from -1 to 1.

    Returns:
        (frames, out_channels, height, width), zero outside the mask.
    """
    inside = mask.unsqueeze(1)
    kernel = weight.permute(1, 2, 0).reshape(weight.shape[1], weight.shape[2], 3, 3)
    return F.conv2d(torch.where(inside, maps, 0), kernel, padding=1) * inside


def sparse_max_pool2d_naive(maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 maximum over active sites, stride 2; an odd last row or column is left out, as in dense pooling.

    Args:
        maps: (frames, channels, height, width) float.
        mask: (frames, height, width) bool.

    Returns:
        Maps (frames, channels, height // 2, width // 2), zero where inactive, and their mask: active where any of the
        four inputs is.
    """
    inside = mask.unsqueeze(1)
    highest = F.max_pool2d(torch.where(inside, maps, float("-inf")), 2)
    active = F.max_pool2d(inside.to(maps.dtype), 2) > 0
    return torch.where(active, highest, 0), active.squeeze(1)
