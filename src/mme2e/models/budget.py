"""A budget of computation: top-p is moved in training until the stages compute the share that was asked for."""

from collections.abc import Iterable
from typing import Literal

from mme2e.models.sparse_tower import SparseStage

_RATE, _LOWEST_P = 0.1, 1e-3
"""Exponent of a step, small enough to average over batches; p below which a map keeps one site anyway."""


def share_of_products(stages: Iterable[SparseStage]) -> float | None:
    """Multiply-adds of the stages' convolutions in the last training step, of those of full maps.

    None when there was no map.
    """
    computed = full = 0
    for stage in stages:
        if stage.computed is not None:
            computed += stage.computed.num_products * stage.weight_products
            full += stage.computed.dense_products * stage.weight_products
    return computed / full if full else None


def follow_budget(stages: Iterable[SparseStage], budget: float, scope: Literal["stage", "total"]) -> None:
    """Moves p of every stage one step towards the budget: the more a share of p computes, the smaller p becomes.

    Args:
        stages: After a forward pass in training.
        budget: Share of the products to compute, in (0, 1).
        scope: Whether each stage has the budget, or all together.
    """
    stages = list(stages)
    for group in [[stage] for stage in stages] if scope == "stage" else [stages]:
        share = share_of_products(group)
        if share is None:
            continue
        factor = (budget / max(share, 1e-6)) ** _RATE
        for stage in group:
            stage.selection.top_p = min(1.0, max(_LOWEST_P, stage.selection.top_p * factor))
