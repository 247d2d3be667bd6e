"""A linear layer with a large matrix and few rows, through oneDNN on CPUs.

PyTorch hands it to MKL, which takes two to three times as long on the AMD processor of the benchmarks (forward and both
gradients, `benchmarks/wide_linear.py`).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
"""oneDNN's matrix product, which PyTorch's compiler uses; without a public name, so that it may be missing one day."""


class WideLinear(nn.Linear):
    """`torch.nn.Linear` with a bias, computed by the faster library where PyTorch would not take it.

    Args:
        in_features: Width of the rows.
        out_features: Width of the result.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, in_features) to (n, out_features)."""
        fits = rows.device.type == "cpu" and rows.dtype == self.weight.dtype == torch.float32 and rows.numel() > 0
        if _LINEAR is None or not fits or torch.is_autocast_enabled("cpu"):
            return F.linear(rows, self.weight, self.bias)
        return _WideLinear.apply(rows, self.weight, self.bias)


def flop_formulas() -> dict[Any, Callable[..., int]]:
    """What PyTorch's counter of operations has to be told of the product: for its `custom_mapping`."""
    return {} if _LINEAR is None else {_LINEAR: _flops}


def _flops(rows: torch.Size, weight: torch.Size, *_: object, **__: object) -> int:
    return 2 * rows[0] * weight[0] * weight[1]


def _product(rows: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """(n, k) times the transpose of (m, k), plus (m,)."""
    assert _LINEAR is not None
    return _LINEAR(rows, matrix, bias, "none", [], "")


class _WideLinear(torch.autograd.Function):
    """(n, k) rows, (m, k) weight, (m,) bias -> (n, m)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The product."""
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Both gradients are such products too."""
        rows, weight = ctx.saved_tensors
        wants_rows, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if wants_rows else None,
            _product(gradient.t(), rows.t()) if wants_weight else None,
            gradient.sum(0) if wants_bias else None,
        )
