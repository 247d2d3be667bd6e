"""Which recordings are meant: files, folders and patterns, each once, and what their answers are called."""

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mme2e.errors import UserError
from mme2e.runs.info import CONFIG_FILE
from mme2e.text_files import printable

MARK = ".mme2e"
"""Before the suffix of every file that is written beside others: `talk.mme2e.json`."""

MEDIA_SUFFIXES = (
    ".3gp", ".aac", ".ac3", ".aif", ".aiff", ".amr", ".asf", ".avi", ".caf", ".dv", ".f4v", ".flac", ".flv", ".m2ts",
    ".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".oga", ".ogg",
    ".ogv", ".opus", ".ts", ".vob", ".wav", ".webm", ".wma", ".wmv",
)  # fmt: skip
"""Of files that are taken from a folder; a file that is named is taken whatever it is called."""

LONGEST_NAME_BYTES = 200
"""Of an answer's name without its suffix; file systems take 255."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording to analyse.

    Attributes:
        path: Its file.
        name: What its answers are called, without suffix.
    """

    path: Path
    name: str


def find_recordings(inputs: Sequence[str | Path]) -> tuple[Recording, ...]:
    """The recordings that files, folders (with all folders in them) and patterns name, in order, each once.

    Raises:
        UserError: Something does not exist, is a run folder, or holds no recording.
    """
    paths: dict[Path, None] = {}
    for given in inputs:
        found = list(_recordings_of(given))
        if not found:
            raise UserError(f"{given} holds no recording: expected are files with video, with audio, or both")
        paths.update(dict.fromkeys(found))
    return tuple(Recording(path=path, name=name) for path, name in zip(paths, _names(list(paths)), strict=True))


def refuse_run_folder(given: str | Path) -> None:
    """Refuses a run folder in the place of the recording, where it stood in earlier versions.

    Raises:
        UserError: It is one.
    """
    try:
        is_run = (Path(given) / CONFIG_FILE).is_file()
    except (OSError, ValueError):  # too long for a name, or of characters that none has
        return
    if is_run:
        raise UserError(f"{given} is a run folder, not a recording: mme2e predict RECORDING --run {given}")


def _recordings_of(given: str | Path) -> Iterable[Path]:
    path = Path(given)
    try:
        refuse_run_folder(path)
        if path.is_dir():
            return _in_folder(path)
        if path.exists():
            return [path]
    except OSError as error:  # a name that no file system takes
        raise UserError(f"{given} cannot be read: {error.strerror}") from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{given!r} is no name of a file: {error}") from error
    if glob.has_magic(str(given)):
        # Path.glob takes no pattern that begins at the root.
        found = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207
        return [Path(name) for name in found if _is_recording(Path(name))]
    raise UserError(f"there is no file {given}")


def _in_folder(folder: Path) -> list[Path]:
    """Recordings of a folder and all that are in it; links to folders are followed, each folder once."""
    found, been = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if real in been:
            folders[:] = []
            continue
        been.add(real)
        found += [Path(place) / name for name in sorted(files) if _is_recording(Path(place) / name)]
    return found


def _is_recording(path: Path) -> bool:
    own = MARK in path.suffixes[:-1] or path.name.startswith(".")
    return path.suffix.lower() in MEDIA_SUFFIXES and not own and path.is_file()


def _names(paths: Sequence[Path]) -> list[str]:
    """The stem; where several share one, the whole name; where that does not help either, with a number."""
    stems = Counter(path.stem.casefold() for path in paths)
    names = [path.stem if stems[path.stem.casefold()] == 1 else path.name for path in paths]
    taken: set[str] = set()
    unique = []
    for name in (_short(printable(each)) for each in names):
        free, number = name, 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.casefold())
        unique.append(free)
    return unique


def _short(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{os.fsdecode(encoded[: LONGEST_NAME_BYTES - 9]).rstrip()}-{digest}"
