"""Networks that read the same utterances in turns, so that a machine with other work slows all of them alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from mme2e.benchmarking.profiler import OperationCounts, Timings, count_operations, time_forward
from mme2e.benchmarking.result import Costs, PartCosts, Spread
from mme2e.data.batch import Batch
from mme2e.models import FE2E, MESM


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network at one setting, and the utterances it reads.

    Attributes:
        name: For people.
        model: In evaluation mode; may be shared with candidates of other settings.
        batches: With mel chunks.
        stage_top_p: p of each sparse stage; empty for FE2E.
    """

    name: str
    model: FE2E
    batches: Sequence[Batch]
    stage_top_p: Mapping[str, float]

    @property
    def top_p(self) -> float | None:
        """The mean over the stages; None for FE2E."""
        return statistics.mean(self.stage_top_p.values()) if self.stage_top_p else None

    @property
    def utterances(self) -> int:
        """How many it reads."""
        return sum(len(batch) for batch in self.batches)

    def set_top_p(self) -> None:
        """Gives the stages of the model their p."""
        if isinstance(self.model, MESM):
            for name, stage in self.model.stages.items():
                stage.selection.top_p = self.stage_top_p[name]


def time_interleaved(
    candidates: Sequence[Candidate], device: torch.device, rounds: int, advance: Callable[[], None]
) -> list[Costs]:
    """Counts each once, lets each warm up once, and times all of them round by round.

    Args:
        candidates: Their models end up on `device`.
        device: Where to measure.
        rounds: How often.
        advance: Called after each of the (rounds + 2) passes of a candidate.
    """
    batches = {id(each.batches): [batch.to(device) for batch in each.batches] for each in candidates}
    counted: list[OperationCounts] = []
    timings: list[list[Timings]] = [[] for _ in candidates]
    for candidate in candidates:
        candidate.model.to(device)
        candidate.set_top_p()
        counted.append(count_operations(candidate.model, batches[id(candidate.batches)]))
        advance()
    for turn in range(rounds + 1):
        for candidate, times in zip(candidates, timings, strict=True):
            candidate.set_top_p()
            time = time_forward(candidate.model, batches[id(candidate.batches)])
            if turn:  # the first one warms up
                times.append(time)
            advance()
    return [_costs(*each, device) for each in zip(candidates, counted, timings, strict=True)]


def _costs(candidate: Candidate, counted: OperationCounts, timings: list[Timings], device: torch.device) -> Costs:
    each = 1 / candidate.utterances

    def part(name: str) -> PartCosts:
        sites = counted.sites.get(name)
        selecting = [times.selecting[name] * each for times in timings if name in times.selecting]
        return PartCosts(
            name=name,
            multiply_adds=counted.parts[name] * each,
            seconds=Spread.of([times.parts[name] * each for times in timings]),
            selecting_s=Spread.of(selecting).median if selecting else None,
            density=sites.density if sites else None,
            products=sites.products if sites else None,
        )

    return Costs(
        name=candidate.name,
        top_p=candidate.top_p,
        device=str(device),
        multiply_adds=counted.multiply_adds * each,
        unseen=counted.unseen * each,
        seconds=Spread.of([times.seconds * each for times in timings]),
        parts=tuple(part(name) for name in counted.parts),
    )
