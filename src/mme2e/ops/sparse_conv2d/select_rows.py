"""Taking some sites' features, gated or as they are, in one pass each way."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mme2e.ops.compiler import call, can_compile

_SOURCE = Path(__file__).with_name("select_rows.c")


def take_rows(features: Tensor, kept: Tensor, gates: Tensor | None = None) -> Tensor:
    """`features[kept] * gates.unsqueeze(1)`, or `features[kept]` without gates.

    Args:
        features: (sites, channels).
        kept: (number,) int64, rising: no row is taken twice.
        gates: (number,) in the dtype of the features.

    Returns:
        (number, channels).
    """
    if can_compile(_SOURCE, features.device, features.dtype):
        return _TakeRows.apply(features.contiguous(), kept.contiguous(), None if gates is None else gates.contiguous())
    taken = features.index_select(0, kept)
    return taken if gates is None else taken * gates.unsqueeze(1)


class _TakeRows(torch.autograd.Function):
    """Features, kept, gates -> rows. Keeps the features themselves, not a copy of what was taken of them."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, kept: Tensor, gates: Tensor | None) -> Tensor:
        """One pass over the rows that are taken."""
        ctx.save_for_backward(kept, *(() if gates is None else (gates, features)))
        ctx.rows = len(features)
        taken = features.new_empty(len(kept), features.shape[1])
        call(_SOURCE, "take", features.dtype, (features, kept, gates, taken), taken.shape)
        return taken

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:
        """One pass over all rows: those that were not taken get zero."""
        kept, *gated = ctx.saved_tensors
        gates, features = gated or (None, None)
        of_features = gradient.new_empty(ctx.rows, gradient.shape[1])
        of_gates = None if gates is None else torch.empty_like(gates)
        tensors = (gradient.contiguous(), features, kept, gates, of_features, of_gates)
        call(_SOURCE, "take_gradient", gradient.dtype, tensors, (ctx.rows, *gradient.shape))
        return of_features, None, of_gates
