"""A budget of computation: top-p is moved in training until the stages compute the share that was asked for."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, distributed

from mme2e.models.sparse_tower import SparseStage
from mme2e.models.trace import Trace

_RATE, _LOWEST_P = 0.1, 1e-3
"""Exponent of a step, small enough to average over batches; p below which a map keeps one site anyway."""


def share_of_macs(stages: Iterable[SparseStage], trace: Trace) -> float | None:
    """MACs of the stages' convolutions in a forward pass, of those of full maps; None when there was no map.

    Args:
        stages: Of the model.
        trace: Of the pass.
    """
    return _share(_macs(list(stages), trace))


def follow_budget(stages: Iterable[SparseStage], trace: Trace, budget: float, scope: Literal["stage", "total"]) -> None:
    """Moves p of every stage one step towards the budget: the more a share of p computes, the smaller p becomes.

    Processes that train together move it alike, by what all of them computed.

    Args:
        stages: Of the model.
        trace: Of a forward pass in training.
        budget: Share of the MACs to compute, in (0, 1).
        scope: Whether each stage has the budget, or all together.
    """
    stages = list(stages)
    macs = _macs(stages, trace)
    if distributed.is_available() and distributed.is_initialized():
        macs = _summed_over_processes(macs, stages[0].conv1.weight.device)
    for group in [[each] for each in range(len(stages))] if scope == "stage" else [list(range(len(stages)))]:
        share = _share(macs[group])
        if share is None:
            continue
        factor = (budget / max(share, 1e-6)) ** _RATE
        for each in group:
            selection = stages[each].selection
            selection.top_p = min(1.0, max(_LOWEST_P, selection.top_p * factor))


def _macs(stages: list[SparseStage], trace: Trace) -> Tensor:
    """(stages, 2) int64: the MACs that each stage's convolutions computed, and those of full maps."""
    counts = []
    for stage in stages:
        kept = [selected.kept for selected in trace.of(stage.selection)]
        counts.append(
            [
                stage.macs_per_pair * sum(sites.num_pairs for sites in kept),
                stage.macs_per_pair * sum(sites.full_pairs for sites in kept),
            ]
        )
    return torch.tensor(counts).view(len(stages), 2)


def _summed_over_processes(macs: Tensor, device: torch.device) -> Tensor:
    there = macs.to(device)
    distributed.all_reduce(there)
    return there.cpu()


def _share(macs: Tensor) -> float | None:
    computed, full = macs.sum(0).tolist()
    return computed / full if full else None
