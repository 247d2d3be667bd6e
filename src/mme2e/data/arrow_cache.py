"""Rows of a prepared corpus, unpacked once into an Arrow file that is mapped into memory."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from mme2e.errors import UserError

CACHE_FOLDER = ".cache"


def digest(content: object) -> str:
    """16 hexadecimal digits of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def unpacked(folder: Path, stem: str, state: object, write: Callable[[Path], None], *, what: str) -> Path:
    """The Arrow file of something in a prepared corpus; written when it is not there, in place of older ones.

    Args:
        folder: The prepared corpus.
        stem: Beginning of the file's name.
        state: Of what it is made of, in what JSON can hold: another state is another file.
        write: Writes it.
        what: What is unpacked, for people.

    Raises:
        UserError: It cannot be written.
    """
    cache = _cache_folder(folder)
    path = cache / f"{stem}-{digest(state)}.arrow"
    if not path.is_file():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            for old in cache.glob(f"{stem}-*.arrow"):
                old.unlink(missing_ok=True)
            write(path)
        except OSError as error:
            raise UserError(f"cannot unpack {what} into {cache}: {error.strerror or error}") from error
    return path


def _cache_folder(folder: Path) -> Path:
    if os.access(folder, os.W_OK):
        return folder / CACHE_FOLDER
    # A corpus that is shared read-only is unpacked where `datasets` keeps its own files.
    from datasets.config import HF_DATASETS_CACHE

    return Path(HF_DATASETS_CACHE) / "mme2e" / digest(str(folder.resolve()))
