"""What happens beside the steps: checkpoints, progress, and keeping Lightning's small talk away."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console

from mme2e.atomic import replacing, write_text
from mme2e.console import progress, show
from mme2e.training.history import (
    CSV_FILE,
    EpochRecord,
    TrainingReport,
    best_epoch,
    history_to_csv,
)

CHECKPOINT_FOLDER = "checkpoints"
LOG_FOLDER = "logs"
BEST_FILE = "best.ckpt"
LAST_FILE = "last.ckpt"


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints beside their final place and renames them.

    Lightning's own way writes to the folder for temporary files and moves; between two file systems that is a copy,
    which a full disk or a kill leaves half done under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint at once or not at all.

        Raises:
            OSError: It cannot be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:
            # torch puts an error of its own before the one that says what is the matter.
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


class BestAndLast(Checkpoint):
    """Saves `checkpoints/best.ckpt` and `checkpoints/last.ckpt` after an epoch, each at once or not at all.

    Which epoch is the best follows from the history in the checkpoint. Lightning's own ModelCheckpoint remembers
    the best by the absolute path of its file and forgets it when the run folder has been moved.

    Args:
        run: Run folder.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / CHECKPOINT_FOLDER

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Saves; the best one first, so that `last.ckpt` is never ahead of it."""
        is_best = best_epoch(pl_module.history) is pl_module.history[-1]
        if trainer.strategy.broadcast(is_best):
            trainer.save_checkpoint(self.folder / BEST_FILE, weights_only=False)
        trainer.save_checkpoint(self.folder / LAST_FILE, weights_only=False)


class Reporter(Checkpoint):
    """Writes `metrics.json` and `logs/metrics.csv` after every epoch, and tells how training goes.

    On a terminal there is a progress bar under the lines of the finished epochs; elsewhere just the lines. It counts
    as a checkpoint, and stands after `BestAndLast`, so that no file speaks of an epoch that is not saved.

    Args:
        run: Run folder.
        report: What `metrics.json` holds beside the epochs.
        console: Where to tell.
    """

    def __init__(self, run: Path, report: TrainingReport, console: Console) -> None:
        self.run = run
        self.report = report
        self.console = console
        self.progress = progress("{task.fields[status]}", console=console, only_on_terminals=True)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Shows a fresh bar."""
        if trainer.is_global_zero:
            for task in self.progress.task_ids:
                self.progress.remove_task(task)
            name = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.task = self.progress.add_task(name, total=trainer.num_training_batches, status="")
            self.progress.start()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Moves the bar on."""
        if trainer.is_global_zero and not self.progress.disable:
            self.progress.update(self.task, completed=batch_idx + 1, status=f"loss {outputs['loss'].item():.3f}")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Says what the pause is."""
        if trainer.is_global_zero:
            self.progress.update(self.task, status="validating")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Writes and tells."""
        if not trainer.is_global_zero:
            return
        history = pl_module.history
        write_report(self.run, self.report, history, finished=False)
        show(describe_epoch(history, trainer.max_epochs), console=self.console)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Takes the bar away."""
        self.progress.stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Takes the bar away."""
        self.progress.stop()


class EachEpoch(Checkpoint):
    """Hands every finished epoch to a function, which ends training by raising.

    It counts as a checkpoint, and stands after `Reporter`, so that the epoch is saved by then.

    Args:
        function: Called with the epoch.
    """

    def __init__(self, function: Callable[[EpochRecord], None]) -> None:
        self.function = function

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Calls the function."""
        self.function(pl_module.history[-1])


def write_report(run: Path, report: TrainingReport, history: list[EpochRecord], *, finished: bool) -> None:
    """Writes `metrics.json` and `logs/metrics.csv`.

    Args:
        run: Run folder.
        report: Gives corpus and label names.
        history: Finished epochs.
        finished: Whether there will be no more.
    """
    TrainingReport(
        finished=finished,
        corpus=report.corpus,
        label_names=report.label_names,
        best=best_epoch(history) if history else None,
        history=tuple(history),
    ).write(run)
    (run / LOG_FOLDER).mkdir(exist_ok=True)
    write_text(run / LOG_FOLDER / CSV_FILE, history_to_csv(history))


def describe_epoch(history: list[EpochRecord], epochs: int) -> str:
    """One line about the last epoch of a history; a star marks the best so far."""
    last = history[-1]
    star = "*" if best_epoch(history) is last else " "
    return (
        f"epoch {last.epoch:>{len(str(epochs))}}/{epochs}  loss {last.train_loss:.3f}  valid loss {last.valid_loss:.3f}"
        f"  macro F1 {last.valid_macro_f1:.3f}{star}  AUC {last.valid_auc:.3f}  {last.seconds:.1f} s"
        f"  waiting for data {last.data_wait_share:.0%}"
    )


_SMALL_TALK = (
    "GPU available",
    "TPU available",
    "💡 Tip",
    "Restoring states from the checkpoint",
    "Restored all states from the checkpoint",
    "`Trainer.fit` stopped",
    "`Trainer(",
    "Using bfloat16 Automatic Mixed Precision",
    "Using 16bit Automatic Mixed Precision",
    "Loading `train_dataloader` to estimate",
    "LOCAL_RANK: ",
    "You are using a CUDA device",
    "Detected KeyboardInterrupt",
    "distributed_backend=",
    "Initializing distributed",
    "----------",
)
_TIRESOME_WARNINGS = (
    r"The '.*dataloader' does not have many workers",
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"Checkpoint directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip().startswith(_SMALL_TALK)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps messages of Lightning away that are known and of no use to the user; all others come through."""
    loggers = [
        logging.getLogger(f"lightning.{name}")
        for name in ("pytorch.utilities.rank_zero", "fabric.utilities.rank_zero", "fabric.utilities.distributed")
    ]
    for logger in loggers:
        logger.addFilter(_is_news)
    try:
        with warnings.catch_warnings():
            for message in _TIRESOME_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_news)
