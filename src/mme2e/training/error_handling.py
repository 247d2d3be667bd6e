"""How training ends when it does not end well: one clear error, or an interrupt."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mme2e.config import TrainSettings
from mme2e.errors import UserError


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
def one_clear_end(settings: TrainSettings) -> Iterator[None]:
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
