"""How a training run starts in its folder, and how it is resumed there."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from mme2e.atomic import write_text
from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.records import from_plain
from mme2e.runs.folder import LOCK_FILE, writing_run
from mme2e.training.data_module import process_rank
from mme2e.training.history import (
    CHECKPOINT_FOLDER,
    LAST_FILE,
    METRICS_FILE,
    SETTINGS_FILE,
    EpochRecord,
    TrainingReport,
    best_epoch,
    require_same_settings,
    settings_to_yaml,
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a run stands.

    Attributes:
        checkpoint: After the last finished epoch; None before the first.
        history: Finished epochs.
        finished: Whether the run folder is complete.
    """

    checkpoint: Path | None = None
    history: tuple[EpochRecord, ...] = ()
    finished: bool = False

    def is_trained(self, settings: TrainSettings) -> bool:
        """Whether no epoch is left: all are done, or early stopping has come."""
        if not self.history:
            return False
        without_better = len(self.history) - best_epoch(list(self.history)).epoch
        return len(self.history) >= settings.epochs or 0 < settings.early_stop <= without_better


@contextmanager
def owned(out: Path) -> Iterator[None]:
    """Within the `with` block a run folder belongs to this training and its processes; it is made if need be.

    Raises:
        UserError: Another process works on it.
        OSError: It cannot be written to.
    """
    if process_rank() != 0:  # the first process has the lock
        yield
        return
    with writing_run(out):
        yield


def require_empty(out: Path) -> None:
    """Refuses a run folder that holds something already.

    Raises:
        UserError: It does, or it is no folder.
    """
    if out.exists() and (not out.is_dir() or any(each.name != LOCK_FILE for each in out.iterdir())):
        raise UserError(f"{out} exists and is not empty: give another --out, or --resume to go on with it")


def require_started(out: Path) -> None:
    """Refuses a folder in which no run was started.

    Raises:
        UserError: There is nothing to resume.
    """
    if not (out / SETTINGS_FILE).is_file():
        raise UserError(f"nothing to resume: {out} has no {SETTINGS_FILE}; train without --resume")


def start_run(out: Path, settings: TrainSettings, report: TrainingReport) -> None:
    """Writes what a later `resume_run` needs.

    Args:
        out: Run folder, `owned`.
        settings: Of the run.
        report: Without epochs.

    Raises:
        UserError: The folder holds something already.
    """
    require_empty(out)
    (out / CHECKPOINT_FOLDER).mkdir(parents=True)
    report.write(out)
    write_text(out / SETTINGS_FILE, settings_to_yaml(settings))


def remove_beginning(out: Path) -> None:
    """Removes what `start_run` leaves where it is killed before the settings are written: no epoch is among it.

    Args:
        out: Run folder, with anything or nothing in it. What holds other files stays as it is: training refuses it.
    """
    left = list(out.iterdir()) if out.is_dir() else []
    known = (LOCK_FILE, CHECKPOINT_FOLDER, METRICS_FILE)
    if not all(each.name in known or each.suffix == ".tmp" for each in left):
        return
    for each in left:
        if each.name == CHECKPOINT_FOLDER and not any(each.iterdir()):
            each.rmdir()
        elif each.is_file() and each.name != LOCK_FILE:
            each.unlink()


def resume_run(out: Path, settings: TrainSettings, corpus: str) -> Standing:
    """Finds out where the run in a folder stands.

    Args:
        out: Run folder, `owned`.
        settings: Must be those that the run was started with.
        corpus: Name and fingerprint; likewise.

    Raises:
        UserError: There is no run, its settings or its corpus are others, or its files are damaged.
    """
    require_started(out)
    require_same_settings(out, settings)
    report = TrainingReport.read(out)
    if report.corpus != corpus:
        raise UserError(f"--resume requires the corpus '{report.corpus}' that {out} was started with, not '{corpus}'")
    if report.finished:
        return Standing(history=report.history, finished=True)
    last = out / CHECKPOINT_FOLDER / LAST_FILE
    if not last.is_file():
        return Standing()
    try:
        # Mapped into memory: of the weights nothing is read yet.
        content = torch.load(last, map_location="cpu", weights_only=True, mmap=True)
        history = from_plain(tuple[EpochRecord, ...], content["history"], name="history")
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{last} is damaged ({type(error).__name__}); this run cannot be resumed") from error
    return Standing(checkpoint=last, history=history)
