"""One run of Lightning: its trainer, its checkpoint files, and how it ends when it does not end well."""

import errno
import logging
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mme2e.atomic import replacing
from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.training.history import LOG_FOLDER
from mme2e.training.module import MONITORED

LIGHTNING_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def fit(
    module: LightningModule,
    data: LightningDataModule,
    settings: TrainSettings,
    *,
    out: Path,
    checkpoint: Path | None,
    callbacks: Sequence[Callback],
) -> None:
    """Trains.

    Args:
        module: What is trained; it logs `MONITORED`.
        data: Its batches.
        settings: How to train.
        out: Run folder.
        checkpoint: To go on from.
        callbacks: Beside early stopping.

    Raises:
        UserError: The GPU's memory is too small, or the devices do not fit.
        KeyboardInterrupt: Training was interrupted.
    """
    with quiet_lightning(), _one_clear_end(settings):
        trainer = _make_trainer(settings, out, callbacks)
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)


def _make_trainer(settings: TrainSettings, out: Path, callbacks: Sequence[Callback]) -> Trainer:
    early: list[Callback] = []
    if settings.early_stop > 0:
        early.append(EarlyStopping(MONITORED, mode="max", patience=settings.early_stop, check_on_train_epoch_end=True))
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else "ddp",
        precision=LIGHTNING_PRECISION[settings.precision],  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip or None,
        callbacks=[*callbacks, *early],
        plugins=[CheckpointFiles()],
        logger=TensorBoardLogger(out, name=LOG_FOLDER, version=""),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the loader shares its batches out by itself
        deterministic=settings.deterministic,
        benchmark=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


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


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turns what the disk has against a run folder into an error of the user's; other errors of files stay."""
    try:
        yield
    except OSError as error:
        # A write that fails names no file.
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
        if full or (error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(out)):
            raise UserError(f"cannot write to {out} ({error.strerror}): what was finished is kept") from error
        raise


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lets through what Lightning warns of, but neither its information nor its advice on settings, which are ours."""
    loggers = {name: logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")}
    levels = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            # Lightning 2.6 calls a function of PyTorch's that newer versions of it do without.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(levels[name])


@contextmanager
def _one_clear_end(settings: TrainSettings) -> Iterator[None]:
    """Turns the ways in which Lightning ends into ours, and puts back what it changed in the process."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    except (SystemExit, RuntimeError) as end:
        # Lightning turns Ctrl-C into an exit; a worker that dies of it becomes a RuntimeError on the way.
        if _comes_from_interrupt(end):
            raise KeyboardInterrupt("interrupted; --resume goes on after the last finished epoch") from end
        if isinstance(end, torch.OutOfMemoryError):
            raise UserError(
                f"the GPU's memory is too small for batch_size {settings.batch_size}: lower it and raise accumulate"
            ) from end
        raise
    except MisconfigurationException as error:
        raise UserError(f"cannot train on {settings.devices} x {settings.accelerator}: {error}") from error
    finally:
        torch.use_deterministic_algorithms(deterministic)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, on_interrupt)


def _comes_from_interrupt(error: BaseException | None) -> bool:
    """Whether an error was raised while a KeyboardInterrupt was being dealt with."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
