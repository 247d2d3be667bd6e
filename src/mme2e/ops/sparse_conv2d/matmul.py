"""Matrix products of many rows with a small matrix, by the fastest library at hand.

On CPUs PyTorch hands `mm` to MKL; a 1x1 convolution is the same product and goes to oneDNN, which takes three quarters
of the time or less on the AMD processor of the benchmarks (`benchmarks/sparse_conv2d.py`). On other devices `mm` is
the right call.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_WIDTH = 256
"""Columns of the picture as which a gradient's rows are seen; as a single column they take up to twice the time."""


def _as_image(rows: Tensor, width: int = 1) -> Tensor:
    """(n, channels) seen as one channels-last picture (1, channels, n / width, width); no copy."""
    return rows.view(1, len(rows) // width, width, rows.shape[1]).permute(0, 3, 1, 2)


def _through_convolution(rows: Tensor) -> bool:
    return rows.device.type == "cpu" and rows.dtype == torch.float32 and len(rows) > 0


def row_product(rows: Tensor, matrix: Tensor) -> Tensor:
    """(n, k) times (k, m) -> (n, m)."""
    if not _through_convolution(rows):
        return rows @ matrix
    kernel = matrix.t().unsqueeze(-1).unsqueeze(-1)
    return F.conv2d(_as_image(rows), kernel).permute(0, 2, 3, 1).reshape(len(rows), -1)


def outer_product(left: Tensor, right: Tensor) -> Tensor:
    """Transpose of (n, k) times (n, m) -> (k, m): the gradient of a matrix that `row_product` multiplied with."""
    if not _through_convolution(left):
        return left.t() @ right
    whole = len(left) // _WIDTH * _WIDTH
    if not whole:
        return _convolved(left, right, 1)
    product = _convolved(left[:whole], right[:whole], _WIDTH)
    return product if whole == len(left) else product.add_(_convolved(left[whole:], right[whole:], 1))


def _convolved(left: Tensor, right: Tensor, width: int) -> Tensor:
    kernel = left.new_empty(left.shape[1], right.shape[1], 1, 1)
    images = _as_image(left, width), _as_image(right, width)
    only_weights = [False, True, False]
    product = torch.ops.aten.convolution_backward(
        *images, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, only_weights
    )[1]
    return product.view(left.shape[1], right.shape[1])
