"""Runs what is missing of a grid of runs, and writes its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from mme2e.atomic import replacing, write_text
from mme2e.config.experiment import ExperimentSettings
from mme2e.console import screen
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.errors import UserError
from mme2e.experiments.costs import operations_of
from mme2e.experiments.latex import to_latex
from mme2e.experiments.plan import PlannedRun, Stage, plan_runs, stage_of
from mme2e.experiments.plot import plot_experiment, value_of
from mme2e.experiments.report import CorpusFacts, Report, report_parts, to_markdown
from mme2e.experiments.rows import Cell, Comparison, RunScore
from mme2e.experiments.runner import Failure, do_runs
from mme2e.experiments.summary import summarise
from mme2e.locking import locked
from mme2e.report import Part, Result, Table

LOCK_FILE = ".lock"


@dataclass(frozen=True, kw_only=True)
class ExperimentResult(Result):
    """What came of an experiment.

    Attributes:
        settings: Of the experiment.
        out: Its folder.
        dry_run: Whether nothing was to be done.
        tables: All numbers; None for a dry run, or when no run is done.
        stages: Where each run stands now.
        failures: Runs that failed this time.
    """

    settings: ExperimentSettings
    out: Path
    dry_run: bool
    tables: Report | None
    stages: Mapping[PlannedRun, Stage]
    failures: tuple[Failure, ...]

    @property
    def complete(self) -> bool:
        """Whether all runs are done, or none was to be."""
        return self.dry_run or not self.left

    @property
    def left(self) -> int:
        """How many runs are not done."""
        return sum(stage is not Stage.SCORED for stage in self.stages.values())

    def report(self) -> list[Part]:
        """For the screen."""
        if self.dry_run:
            rows = [[str(run), stage.value] for run, stage in self.stages.items()]
            plan = Table(title=self.settings.name, heads=["run", "state"], rows=rows)
            return [plan, f"{self.left} of {len(self.stages)} runs are to be done"]
        if self.tables is None:
            return [f"{self.out}: no run is done, there is nothing to show"]
        return [*report_parts(self.tables), f"{self.out}/results.md, .tex, .png, .csv, .parquet"]


def run_experiment(
    settings: ExperimentSettings, *, out: Path, dry_run: bool = False, only_report: bool = False
) -> ExperimentResult:
    """Does what `mme2e.experiment` does, with its arguments and errors."""
    if settings.along is not None:
        for variant in settings.variants:
            value_of(variant, settings.along)
    corpora = {data: load_corpus(data) for protocol in settings.protocols for data in protocol.folds}
    for corpus in corpora.values():
        _require_splits(corpus)
    runs = plan_runs(settings, out)
    stages = {run: stage_of(run, corpora[run.data]) for run in runs}
    if dry_run:
        return ExperimentResult(settings=settings, out=out, dry_run=True, tables=None, stages=stages, failures=())
    failures: tuple[Failure, ...] = ()
    taken = f"another 'mme2e experiment' is working on {out}: wait for its end, or give another --out"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / LOCK_FILE, taken):
            if not only_report:
                failures = do_runs(runs, stages, screen(stderr=True))
                stages = {run: stage_of(run, corpora[run.data]) for run in runs}
            report = _report(settings, stages, failures, corpora)
            if report is not None:
                _write(report, out)
    except OSError as error:
        raise UserError(f"cannot write to {out} ({error.strerror or error}): what was finished is kept") from error
    return ExperimentResult(settings=settings, out=out, dry_run=False, tables=report, stages=stages, failures=failures)


def _require_splits(corpus: Corpus) -> None:
    lacking = [split for split in ("train", "valid", "test") if split not in corpus.splits]
    if lacking:
        raise UserError(f"{corpus.folder} has no utterances in split '{lacking[0]}': an experiment requires all three")


def _report(
    settings: ExperimentSettings,
    stages: Mapping[PlannedRun, Stage],
    failures: Sequence[Failure],
    corpora: Mapping[Path, Corpus],
) -> Report | None:
    done = [run for run, stage in stages.items() if stage is Stage.SCORED]
    if not done:
        return None
    return Report(
        settings=settings,
        summary=summarise(settings, done),
        facts={p.name: [_facts(corpora[data]) for data in p.folds] for p in settings.protocols},
        operations=_operations(settings, done),
        planned=len(stages),
        done=len(done),
        failures=[f"{failure.run}: {failure.reason}" for failure in failures],
    )


def _facts(corpus: Corpus) -> CorpusFacts:
    return CorpusFacts(
        corpus=f"{corpus.info.name} {corpus.fingerprint}",
        split_protocol=corpus.info.split_protocol,
        shared=str(corpus.leakage()),
        test_utterances=len(corpus.columns("test", ["id"])),
    )


def _operations(settings: ExperimentSettings, done: Sequence[PlannedRun]) -> dict[str, float]:
    """Multiply-adds an utterance of the first run of each variant."""
    counted: dict[str, float] = {}
    for run in done if settings.operations else ():
        if run.variant.name not in counted and (found := operations_of(run, settings.operations)) is not None:
            counted[run.variant.name] = found.multiply_adds
    return counted


def _write(report: Report, out: Path) -> None:
    summary = report.summary
    scores, cells, comparisons = (
        pd.DataFrame(rows, columns=[field.name for field in fields(kind)])
        for kind, rows in ((RunScore, summary.scores), (Cell, summary.cells), (Comparison, summary.comparisons))
    )
    for name, frame in {"results": scores, "summary": cells, "comparisons": comparisons}.items():
        write_text(out / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    with replacing(out / "results.parquet") as temporary:
        scores.to_parquet(temporary, index=False)
    write_text(out / "results.md", to_markdown(report))
    write_text(out / "results.tex", to_latex(report))
    plot_experiment(report, out / "results.png")
