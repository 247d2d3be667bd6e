"""Batch normalisation, 2x2 maximum and ReLU as they are defined: the truth that the fast path is compared with."""

import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norm_relu_naive(x: Tensor, norm: _BatchNorm, *, pool: bool = False, bias: Tensor | None = None) -> Tensor:
    """`relu(norm(x + bias))`, with `pool` `relu(max_pool2d(norm(x + bias), 2))`; in training moves the norm's averages.

    Args:
        x: (rows, channels), or maps (maps, channels, height, width).
        norm: Of the channels.
        pool: Whether maps are halved; an odd last row or column is left out.
        bias: (channels,), zero when None.

    Returns:
        (rows, channels), or (maps, channels, height, width), halved with `pool`.
    """
    if bias is not None:
        x = x + bias.view(1, -1, *[1] * (x.ndim - 2))
    y = norm(x)
    return F.relu(F.max_pool2d(y, 2) if pool else y)
