"""What a folder of answers knows of itself: which recordings are done, and how far the one in work has come.

`.mme2e-done.jsonl` has a line for each recording that is done; `.NAME.partial.jsonl` a line for each group of segments
of one that is in work. A line that was cut by a kill is left out.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mme2e.errors import UserError
from mme2e.inference.request import Progress
from mme2e.records import from_plain, plain
from mme2e.text_files import printable

DONE_FILE = ".mme2e-done.jsonl"


def fingerprint(files: Sequence[Path], what: object) -> str:
    """Of a recording and how it is analysed; another one means that answers are of no use any more.

    Args:
        files: The recording, and the transcript beside it; their places, sizes and times of change count.
        what: Plain data.

    Raises:
        OSError: A file cannot be asked for.
    """
    found = [(printable(str(file.absolute())), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([found, plain(what)], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Done:
    """A recording that is done.

    Attributes:
        name: What its answers are called.
        key: Its `fingerprint`.
        row: Of the summary.
        files: Names of the files that were written.
    """

    name: str
    key: str
    row: dict[str, Any]
    files: tuple[str, ...]


def read_done(folder: Path) -> dict[str, Done]:
    """Recordings that are done by name, of which all files are still there."""
    found = {}
    for line in _lines(folder / DONE_FILE):
        done = from_plain(Done, line, unknown="ignore")
        if all((folder / file).is_file() for file in done.files):
            found[done.name] = done
    return found


def add_done(folder: Path, done: Done) -> None:
    """Notes that a recording is done; called by one process at a time."""
    _append(folder / DONE_FILE, plain(done))


class PartialJournal:
    """What is known of a recording that is in work.

    Args:
        folder: Of the answers.
        name: What its answers are called.
        key: Its `fingerprint`.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self._file = folder / f".{name}.partial.jsonl"
        self._key = key

    def read(self) -> Progress | None:
        """What an earlier, interrupted analysis has found; None where there is none of the same key."""
        first, *others = _lines(self._file) or [None]
        if first != {"key": self._key} or not others:
            self.remove()
            _append(self._file, {"key": self._key})
            return None
        progress: Progress | None = None
        try:
            for line in others:
                news = from_plain(Progress, line)
                progress = news if progress is None else progress + news
        except UserError:  # of another version
            self.remove()
            _append(self._file, {"key": self._key})
            return None
        return progress

    def add(self, news: Progress) -> None:
        """Keeps what was found."""
        _append(self._file, plain(news))

    def remove(self) -> None:
        """Forgets everything: the answers are written."""
        with suppress(FileNotFoundError):
            self._file.unlink()


def _lines(file: Path) -> list[Any]:
    """The objects of a file of JSON lines, up to the first that is cut or damaged."""
    return list(_whole_lines(file)) if file.is_file() else []


def _whole_lines(file: Path) -> Iterator[Any]:
    for line in file.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def _append(file: Path, content: Any) -> None:
    """Adds a line; one that a kill has cut before is ended first."""
    text = json.dumps(content).encode() + b"\n"
    with file.open("ab+") as opened:
        if opened.tell():
            opened.seek(-1, os.SEEK_END)
            if opened.read(1) != b"\n":
                _cut_to_last_line(file)
        opened.write(text)


def _cut_to_last_line(file: Path) -> None:
    with file.open("rb+") as opened:
        content = opened.read()
        opened.truncate(content.rfind(b"\n") + 1)
