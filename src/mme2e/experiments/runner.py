"""Doing what is missing of an experiment, run after run."""

import statistics
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from mme2e.atomic import write_text
from mme2e.console import show
from mme2e.errors import UserError
from mme2e.evaluation.evaluate import evaluate
from mme2e.experiments.plan import PlannedRun, Stage, clear_false_start
from mme2e.training.history import TrainingReport
from mme2e.training.trainer import train_model

FAILURE_FILE = "failure.txt"
"""In the folder of a run that failed by a fault of the program: the traceback."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that could not be finished.

    Attributes:
        run: Which.
        reason: One line.
    """

    run: PlannedRun
    reason: str


def do_runs(runs: Sequence[PlannedRun], stages: Mapping[PlannedRun, Stage], console: Console) -> tuple[Failure, ...]:
    """Trains and scores every run that is not done; one that fails does not keep the others from being done.

    Args:
        runs: All of the experiment.
        stages: Where each of them stands.
        console: Where to report how it goes.

    Returns:
        Those that failed.

    Raises:
        KeyboardInterrupt: With the message that the same command goes on.
    """
    missing = [run for run in runs if stages[run] is not Stage.SCORED]
    clock = _Clock([run for run in runs if stages[run] in (Stage.SCORED, Stage.TRAINED)])
    failures = []
    for number, run in enumerate(missing, 1):
        left = clock.left(missing[number - 1 :])
        console.rule(f"run {number} of {len(missing)}: {run}{left}", align="left", style="dim")
        began_s = time.perf_counter()
        try:
            _do(run, stages[run], console)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted; the same command goes on from here") from None
        except Exception as error:  # reported, written down, and part of the exit status
            failures.append(Failure(run=run, reason=_reason(run, error)))
            show(f"failed: {failures[-1].reason}", console=console)
        else:
            clock.add(run, time.perf_counter() - began_s)
    return tuple(failures)


def _do(run: PlannedRun, stage: Stage, console: Console) -> None:
    clear_false_start(run)
    device = "cpu" if run.settings.accelerator == "cpu" else "auto"
    if stage is not Stage.TRAINED:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        trained = train_model(run.settings, data=run.data, out=run.folder, resume=run.folder.exists())
        show(*trained.report(), console=console)
    evaluate(run.folder, data=run.data, batch_size=run.settings.batch_size, device=device)
    (run.folder / FAILURE_FILE).unlink(missing_ok=True)


def _reason(run: PlannedRun, error: Exception) -> str:
    reason = " ".join(str(error).split())
    if isinstance(error, UserError):
        return reason
    path = run.folder / FAILURE_FILE
    if run.folder.is_dir():
        write_text(path, "".join(traceback.format_exception(error)))
        return f"{type(error).__name__}: {reason} (see {path})"
    return f"{type(error).__name__}: {reason}"


class _Clock:
    """How long runs take, by what was seen of their variant, else of all.

    Args:
        done: Runs that are trained already; their folders hold how long their epochs took.
    """

    def __init__(self, done: Sequence[PlannedRun]) -> None:
        self.seen_s: dict[str, list[float]] = {}
        for run in done:
            self.add(run, sum(epoch.seconds for epoch in TrainingReport.read(run.folder).history))

    def add(self, run: PlannedRun, seconds: float) -> None:
        self.seen_s.setdefault(run.variant.name, []).append(seconds)

    def left(self, left: Sequence[PlannedRun]) -> str:
        """For people; empty before anything was seen."""
        everything = [seconds for seen in self.seen_s.values() for seconds in seen]
        if not everything:
            return ""
        mean_s = {name: statistics.mean(seen) for name, seen in self.seen_s.items()}
        total_s = sum(mean_s.get(run.variant.name, statistics.mean(everything)) for run in left)
        return f"; about {duration_text(total_s)} left"


def duration_text(seconds: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
