"""FE2E and MESM on real human data: composite utterances of speech, photographs and lines of dialogue.

    python benchmarks/open_data.py OPEN_FOLDER OUT [--seeds 3] [--jobs 2]

Composes the utterances (`composite.py`), prepares them in OUT/corpus and does the experiment of open_data.yaml in
OUT/experiment, training `--jobs` runs at a time, each on one core. What is finished is not done again; a run that was
killed goes on. Thresholds and epochs are chosen on validation. Writes results/open_data.md.
"""

import argparse
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
from composite import compose, count_table, read_sources, write_manifest
from fe2e import processor

from mme2e.config import PrepareSettings
from mme2e.config.experiment import ExperimentSettings
from mme2e.console import screen
from mme2e.corpora.readers import read_corpus
from mme2e.data.corpus import load_corpus
from mme2e.evaluation.tables import markdown_table
from mme2e.experiments.file import read_experiment
from mme2e.experiments.outcomes import METRICS_FILE
from mme2e.experiments.plan import PlannedRun, Stage, plan_runs, stage_of
from mme2e.experiments.report import main_table, to_markdown
from mme2e.experiments.run import run_experiment
from mme2e.experiments.runner import do_runs
from mme2e.preparation.corpus import prepare_corpus
from mme2e.training.history import TrainingReport

RESULTS = Path(__file__).parent / "results"
EXPERIMENT = Path(__file__).with_suffix(".yaml")
SINGLE = ("fe2e words", "fe2e sound", "fe2e faces")
CONTROL = "mesm frozen annealed"
"""Trained after all others."""


def do_run(run: PlannedRun, stage: Stage) -> None:
    """Trains a run of the experiment, or goes on with it, and scores it, on one core; tells when it fails."""
    torch.set_num_threads(1)
    do_runs([run], {run: stage}, screen(stderr=True))


def do_missing(settings: ExperimentSettings, out: Path, jobs: int) -> None:
    """Does what is missing, several runs at a time, the control last; each in a process of its own."""
    corpus = load_corpus(settings.protocols[0].folds[0])
    stages = {run: stage_of(run, corpus) for run in plan_runs(settings, out)}
    missing = sorted(
        (run for run, stage in stages.items() if stage is not Stage.SCORED),
        key=lambda run: run.variant.name == CONTROL,
    )
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for _ in pool.map(do_run, missing, [stages[run] for run in missing]):
            pass


def best_single(runs: Sequence[PlannedRun]) -> str:
    """The variant of one modality with the best macro F1 on validation, mean over seeds."""

    def validation_f1(variant: str) -> float:
        bests = [TrainingReport.read(run.folder).best for run in runs if run.variant.name == variant]
        return statistics.mean(best.valid_macro_f1 for best in bests if best is not None)

    done = {run.variant.name for run in runs}
    return max((name for name in SINGLE if name in done), key=validation_f1)


def validation_table(runs: Sequence[PlannedRun]) -> str:
    """Markdown: macro F1 on validation and the epoch that was kept, of every run."""
    rows = []
    for run in runs:
        best = TrainingReport.read(run.folder).best
        if best is not None:
            rows.append([run.variant.name, str(run.seed), f"{100 * best.valid_macro_f1:.1f}", str(best.epoch)])
    return markdown_table(["", "seed", "validation F1 %", "epoch"], rows)


def write_results(settings: ExperimentSettings, experiment: Path, rows: Sequence[dict[str, str]]) -> None:
    """Writes the tables of all runs that are done."""
    runs = [run for run in plan_runs(settings, experiment) if (run.scores / METRICS_FILE).exists()]
    if not {run.variant.name for run in runs} & set(SINGLE):
        raise SystemExit(f"{experiment}: no run of a single modality is done")
    single = best_single(runs)
    against_single = run_experiment(replace(settings, baseline=single), out=experiment, only_report=True).tables
    report = run_experiment(settings, out=experiment, only_report=True).tables
    assert against_single is not None
    assert report is not None
    parts = [
        to_markdown(report).rstrip(),
        f"## F1 against the single modality that is best on validation, {single}",
        markdown_table(*main_table(against_single, settings.protocols[0].name, "f1")),
        "## Validation",
        validation_table(runs),
        "## Utterances, and different clips, photographs and lines in them",
        count_table(rows),
        f"Trained on {processor()}, two runs at a time, one core each.",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "open_data.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Composes, prepares, trains, scores and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("open_folder", type=Path, help="folder with speech.csv, faces.csv and text.csv")
    parser.add_argument("out", type=Path, help="folder of the prepared corpus and of the runs")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of every variant")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, each on one core")
    parser.add_argument("--only-report", action="store_true", help="make the tables of the runs that are done")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    manifest, corpus, experiment = given.out / "manifest.csv", given.out / "corpus", given.out / "experiment"
    rows = compose(read_sources(given.open_folder), given.open_folder)
    settings = read_experiment(EXPERIMENT, data=[str(corpus)], seeds=range(given.seeds))
    if not given.only_report:
        write_manifest(manifest, rows)
        how = PrepareSettings(jobs=given.jobs)
        prepare_corpus(read_corpus("manifest", manifest), corpus, how, source=manifest.name)
        do_missing(settings, experiment, given.jobs)
    write_results(settings, experiment, rows)


if __name__ == "__main__":
    main()
