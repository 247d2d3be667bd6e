"""Networks that read the same utterances in turns, so that a machine with other work slows all of them alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from mme2e.benchmarking.profiler import Clocked, Counted, clock, count_operations
from mme2e.benchmarking.result import Account, PartAccount, Spread
from mme2e.data.batch import Batch
from mme2e.models import FE2E, MESM


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A network at one setting, and the utterances it reads.

    Attributes:
        name: For people.
        model: In evaluation mode; may be shared with contestants of other settings.
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


def measure_in_turns(
    contestants: Sequence[Contestant], device: torch.device, rounds: int, advance: Callable[[], None]
) -> list[Account]:
    """Counts each once, lets each warm up once, and times all of them round by round.

    Args:
        contestants: Their models end up on `device`.
        device: Where to measure.
        rounds: How often.
        advance: Called after each of the (rounds + 2) passes of a contestant.
    """
    batches = {id(each.batches): [batch.to(device) for batch in each.batches] for each in contestants}
    counted: list[Counted] = []
    clocked: list[list[Clocked]] = [[] for _ in contestants]
    for contestant in contestants:
        contestant.model.to(device)
        contestant.set_top_p()
        counted.append(count_operations(contestant.model, batches[id(contestant.batches)]))
        advance()
    for turn in range(rounds + 1):
        for contestant, times in zip(contestants, clocked, strict=True):
            contestant.set_top_p()
            time = clock(contestant.model, batches[id(contestant.batches)])
            if turn:  # the first one warms up
                times.append(time)
            advance()
    return [_account(*each, device) for each in zip(contestants, counted, clocked, strict=True)]


def _account(contestant: Contestant, counted: Counted, clocked: list[Clocked], device: torch.device) -> Account:
    each = 1 / contestant.utterances

    def part(name: str) -> PartAccount:
        sites = counted.sites.get(name)
        selecting = [times.selecting[name] * each for times in clocked if name in times.selecting]
        return PartAccount(
            name=name,
            multiply_adds=counted.parts[name] * each,
            seconds=Spread.of([times.parts[name] * each for times in clocked]),
            selecting_s=Spread.of(selecting).median if selecting else None,
            density=sites.density if sites else None,
            products=sites.products if sites else None,
        )

    return Account(
        name=contestant.name,
        top_p=contestant.top_p,
        device=str(device),
        multiply_adds=counted.multiply_adds * each,
        unseen=counted.unseen * each,
        seconds=Spread.of([times.seconds * each for times in clocked]),
        parts=tuple(part(name) for name in counted.parts),
    )
