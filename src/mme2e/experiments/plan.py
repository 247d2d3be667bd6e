"""Which runs an experiment has, and where each of them stands."""

import shutil
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from mme2e.config import TrainSettings
from mme2e.config.experiment import ExperimentSettings, Variant
from mme2e.data.corpus import Corpus
from mme2e.data.features import load_features
from mme2e.data.hand_crafted import corpus_identity, with_sizes
from mme2e.errors import UserError
from mme2e.evaluation.score_run import EVALUATION_FOLDER
from mme2e.experiments.outcomes import METRICS_FILE, PREDICTIONS_FILE, read_metrics
from mme2e.training.history import SETTINGS_FILE
from mme2e.training.resume import resume_run

RUNS_FOLDER = "runs"


class Stage(Enum):
    """Where a run stands."""

    MISSING = "not begun"
    BEGUN = "begun"
    TRAINED = "trained, not scored"
    SCORED = "done"


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One cell of the grid.

    Attributes:
        protocol: Name of the split.
        fold: Which of the protocol's corpora, from 0.
        folds: How many the protocol has.
        variant: How it is trained.
        seed: Of the training.
        data: Prepared corpus.
        folder: Run folder.
    """

    protocol: str
    fold: int
    folds: int
    variant: Variant
    seed: int
    data: Path
    folder: Path

    @property
    def settings(self) -> TrainSettings:
        """Of the training."""
        return replace(self.variant.settings, seed=self.seed)

    @property
    def scores(self) -> Path:
        """Folder with its scores on the test split."""
        return self.folder / EVALUATION_FOLDER

    def __str__(self) -> str:
        fold = f", fold {self.fold + 1}" if self.folds > 1 else ""
        return f"{self.variant.name}, seed {self.seed} ({self.protocol}{fold})"


def plan_runs(settings: ExperimentSettings, out: Path) -> tuple[PlannedRun, ...]:
    """All runs, seed by seed, so that a table that is made before the end has something of every variant."""
    runs = []
    for seed in settings.seeds:
        for protocol in settings.protocols:
            for fold, data in enumerate(protocol.folds):
                place = out / RUNS_FOLDER / _folder_name(protocol.name)
                if len(protocol.folds) > 1:
                    place /= f"fold{fold + 1}"
                for variant in settings.variants:
                    folder = place / _folder_name(variant.name) / f"seed{seed}"
                    run = PlannedRun(
                        protocol=protocol.name,
                        fold=fold,
                        folds=len(protocol.folds),
                        variant=variant,
                        seed=seed,
                        data=data,
                        folder=folder,
                    )
                    runs.append(run)
    return tuple(runs)


def stage_of(run: PlannedRun, corpus: Corpus) -> Stage:
    """Where a run stands.

    Args:
        run: Of the plan.
        corpus: That of `run.data`, opened.

    Raises:
        UserError: The folder holds a run with other settings or of another corpus, or a damaged one; or the corpus
            lacks what the run reads.
    """
    settings = run.settings
    features = load_features(corpus) if settings.model.hand_crafted else None
    if features is not None:
        settings = replace(settings, model=with_sizes(settings.model, features))
    if not (run.folder / SETTINGS_FILE).is_file():
        return Stage.MISSING
    try:
        standing = resume_run(run.folder, settings, corpus_identity(corpus, features))
    except UserError as error:
        raise UserError(f"{run.folder} is another run than {run}: {error}; give another --out") from error
    if not standing.finished:
        return Stage.BEGUN
    return Stage.SCORED if _is_scored(run, corpus) else Stage.TRAINED


def clear_false_start(run: PlannedRun) -> None:
    """Takes away the folder of a run that was killed before it had written down what it is.

    Raises:
        UserError: There is more in it than such a run leaves.
    """
    if not run.folder.exists() or (run.folder / SETTINGS_FILE).is_file():
        return
    if any(path.suffix in (".ckpt", ".safetensors", ".yaml") for path in run.folder.rglob("*")):
        raise UserError(f"{run.folder} holds something that is not a run of this experiment; give another --out")
    shutil.rmtree(run.folder)


def _is_scored(run: PlannedRun, corpus: Corpus) -> bool:
    """Whether the scores are there, and of this corpus: anybody may have evaluated the run on another one."""
    if not all((run.scores / name).is_file() for name in (METRICS_FILE, PREDICTIONS_FILE)):
        return False
    return read_metrics(run.scores)["corpus"] == corpus_identity(corpus)


def _folder_name(name: str) -> str:
    return name.replace(" ", "_")
