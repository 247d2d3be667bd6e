"""Files that appear whole or not at all."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME_CHARACTERS = 40
"""Of the file's own name in the temporary one, so that a long name does not become too long for a file system."""


def temporary_beside(path: Path) -> Path:
    """A name in the folder of `path` that no other process, thread or call has; it begins with a dot, ends in .tmp."""
    owner = f"{os.getpid()}-{threading.get_native_id()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name[:_NAME_CHARACTERS]}.{owner}.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; what is written there becomes `path` when the `with` block ends well.

    After an error or a kill the old file is as it was.
    """
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
