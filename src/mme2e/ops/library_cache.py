"""Compiled libraries, kept in the user's cache: which of them may be loaded, and what happens where none can be kept.

A library is code that this process executes. So it is loaded only from a folder and a file that belong to the user and
that nobody else may write to, and only while it is whole: its last bytes are the checksum of those before them, which
the system's loader does not read. A file that was cut short would otherwise kill the process, not raise an error.
"""

import ctypes
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from mme2e.atomic import replacing

_DIGEST_BYTES = hashlib.sha256().digest_size
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_LOGGER = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where libraries are kept: `mme2e` in XDG_CACHE_HOME or ~/.cache; made if need be, for the user alone.

    Raises:
        OSError: It cannot be made, or must not be trusted: it belongs to somebody else, or others may write to it.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # As its specification says, a relative XDG_CACHE_HOME counts as none.
        folder = (given if given.is_absolute() else Path.home() / ".cache") / "mme2e"
    except RuntimeError as error:  # a user whom the system does not know
        raise OSError("there is no home folder to keep compiled kernels in") from error
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OSError(f"cannot make {folder} for compiled kernels: {error.strerror}") from error
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise OSError(f"{folder} belongs to another user, so that nothing is loaded from it")
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise OSError(f"{folder} can be written to by other users, so that nothing is loaded from it")
    return folder


def load(name: str, build: Callable[[Path], None]) -> ctypes.CDLL:
    """Loads a library from the cache; one that is not there or damaged is built first.

    Where the cache cannot be used, the library is built in a private folder that is gone when it is loaded, and a
    warning in the log says why, once a process.

    Args:
        name: Of the file; depends on all that the library depends on.
        build: Makes the library at a path; whatever it raises comes out of here.

    Raises:
        OSError: The library can be loaded from neither place.
    """
    try:
        return _load_kept(cache_folder() / name, build)
    except OSError as error:
        unusable = error
    try:
        with tempfile.TemporaryDirectory(prefix="mme2e-") as private:
            path = Path(private) / name
            build(path)
            library = ctypes.CDLL(str(path))
    except OSError as error:
        raise OSError(f"{unusable}; a private folder for temporary files is of no use either") from error
    _warn_once(f"{unusable}; every process compiles its kernels anew")
    return library


def _load_kept(path: Path, build: Callable[[Path], None]) -> ctypes.CDLL:
    if not _is_whole(path):
        if not os.access(path.parent, os.W_OK):
            raise OSError(f"{path.parent}, for compiled kernels, cannot be written to")
        with replacing(path) as temporary:
            build(temporary)
            _seal(temporary)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        # Without the name of the file, so that the message is the same for all kernels.
        reason = str(error).removeprefix(f"{path}: ")
        raise OSError(f"no compiled kernel can be loaded from {path.parent} ({reason})") from error


def _seal(path: Path) -> None:
    """Appends the checksum."""
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(hashlib.sha256(content).digest())
    path.chmod(0o700)


def _is_whole(path: Path) -> bool:
    """Whether a file is there, the user's own, and as `_seal` left it."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
            return False
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]


@cache
def _warn_once(message: str) -> None:
    _LOGGER.warning("%s", message)
