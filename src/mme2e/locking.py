"""Folders that one process at a time works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mme2e.errors import UserError


@contextmanager
def locked(path: Path, taken: str) -> Iterator[None]:
    """Within the `with` block the lock at `path` is this process' own; it ends with the process, however that ends.

    Args:
        path: File of the lock, made where there is none.
        taken: The message when another process has it.

    Raises:
        UserError: Another process has it.
        OSError: The file cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(taken) from None
    try:
        yield
    finally:
        lock.release()
