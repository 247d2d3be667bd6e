"""The first layer over raw maps as it is defined: the truth that the fast path is compared with."""

import torch.nn.functional as F
from torch import Tensor, nn


def first_layer_naive(maps: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """`relu(max_pool2d(norm(conv(maps)), 2))`; in training moves the norm's averages.

    Args:
        maps: (maps, in_channels, height, width).
        conv: To out_channels.
        norm: Of out_channels.

    Returns:
        (maps, out_channels, height / 2, width / 2); an odd last row or column is left out by the maximum.
    """
    return F.relu(F.max_pool2d(norm(conv(maps)), 2))
