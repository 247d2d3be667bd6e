"""What happens beside the steps: files after each epoch, progress on the screen, annealing of top-p."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console

from mme2e.config import TrainSettings
from mme2e.console import progress, show
from mme2e.models import MESM
from mme2e.training.data_module import process_rank
from mme2e.training.history import BEST_FILE, CHECKPOINT_FOLDER, LAST_FILE, EpochRecord, TrainingReport, best_epoch


class EpochFiles(Checkpoint):
    """Saves an epoch: `checkpoints/best.ckpt`, `checkpoints/last.ckpt`, then `metrics.json` and `logs/metrics.csv`.

    Each file is written at once or not at all, and none speaks of an epoch that is not saved. Which epoch is the best
    follows from the history in the checkpoint: Lightning's own ModelCheckpoint remembers the best by the absolute path
    of its file and forgets it when the run folder has been moved.

    Args:
        run: Run folder.
        report: What `metrics.json` holds beside the epochs.
        listeners: Called with the history when the epoch is saved, in every process; one that raises ends training.
    """

    def __init__(
        self, run: Path, report: TrainingReport, listeners: Sequence[Callable[[list[EpochRecord]], None]]
    ) -> None:
        self._run = run
        self._report = report
        self._listeners = listeners

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Saves; the best checkpoint first, so that `last.ckpt` is never ahead of it."""
        history: list[EpochRecord] = pl_module.history
        is_best = best_epoch(history) is history[-1]
        folder = self._run / CHECKPOINT_FOLDER
        if trainer.strategy.broadcast(is_best):
            trainer.save_checkpoint(folder / BEST_FILE, weights_only=False)
        trainer.save_checkpoint(folder / LAST_FILE, weights_only=False)
        if trainer.is_global_zero:
            self._report.with_history(history, finished=False).write(self._run)
        for listener in self._listeners:
            listener(history)


class Reporter(Callback):
    """Shows how training goes: on a terminal a progress bar under the lines of the finished epochs, else the lines.

    Args:
        epochs: Of the run.
        console: Where to show it.
    """

    def __init__(self, epochs: int, console: Console) -> None:
        self._epochs = epochs
        self._console = console
        self._progress = progress("{task.fields[status]}", console=console, only_on_terminals=True)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows a fresh bar."""
        if trainer.is_global_zero:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            name = f"epoch {trainer.current_epoch + 1}/{self._epochs}"
            self._task = self._progress.add_task(name, total=trainer.num_training_batches, status="")
            self._progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar on."""
        if trainer.is_global_zero and not self._progress.disable:
            self._progress.update(self._task, completed=batch_idx + 1, status=f"loss {outputs['loss'].item():.3f}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says what the pause is."""
        if trainer.is_global_zero:
            self._progress.update(self._task, status="validating")

    def epoch_saved(self, history: list[EpochRecord]) -> None:
        """Shows the line of the last epoch."""
        if process_rank() == 0:
            show(describe_epoch(history, self._epochs), console=self._console)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the bar away."""
        self._progress.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Takes the bar away."""
        self._progress.stop()


class TopPAnnealing(Callback):
    """MESM may start dense: top-p falls from 1 to the setting's value, so that attention first learns from all sites.

    It is set before every step. Validation always sees the final value, so that its scores are comparable. A budget
    takes over when the fall ends: until then it does not move top-p.

    Args:
        settings: `anneal_epochs`, and `model.top_p`, where the fall ends.
    """

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the value of this step."""
        self._set(trainer, pl_module, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sets the final value."""
        self._set(trainer, pl_module, math.inf)

    def _set(self, trainer: Trainer, pl_module: LightningModule, step: float) -> None:
        model, settings = pl_module.model, self._settings
        if not isinstance(model, MESM):
            return
        steps = settings.anneal_epochs * trainer.estimated_stepping_batches / settings.epochs
        over = trainer.global_step >= steps
        if over and model.follows_budget:
            return  # the budget's value, or the final one, is there already
        model.set_top_p(top_p_at(step, steps, settings.model.top_p))
        model.follows_budget = over


def top_p_at(step: float, steps: float, final: float) -> float:
    """Share of the attention to keep after some updates: a straight line from 1 down to `final`.

    Args:
        step: Updates done, from 0.
        steps: Updates of the fall; 0 starts at `final`.
        final: Value that stays, in (0, 1].
    """
    return final if step >= steps else 1 - (1 - final) * step / steps


def describe_epoch(history: list[EpochRecord], epochs: int) -> str:
    """One line about the last epoch of a history; a star marks the best so far."""
    last = history[-1]
    star = "*" if best_epoch(history) is last else " "
    return (
        f"epoch {last.epoch:>{len(str(epochs))}}/{epochs}  loss {last.train_loss:.3f}  valid loss {last.valid_loss:.3f}"
        f"  macro F1 {last.valid_macro_f1:.3f}{star}  AUC {last.valid_auc:.3f}  {last.seconds:.1f} s"
        f"  waiting for data {last.data_wait_share:.0%}"
    )
