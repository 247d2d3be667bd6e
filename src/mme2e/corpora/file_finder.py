"""Finding files by names that people wrote, and walking folders behind symbolic links."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from mme2e.text_files import composed

_WILD = set("*?[")
_ANY_DEPTH = "**"
_MACOS_LEFTOVER = "._"
"""Files that macOS leaves beside others on foreign file systems begin so."""


def is_leftover(path: Path) -> bool:
    """Whether a file is one that macOS left behind."""
    return path.name.startswith(_MACOS_LEFTOVER)


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that cannot be one, a whole sentence for instance, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def walk_folders(root: Path, unreadable: list[Path] | None = None) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all folders under it, also behind symbolic links, each once, though several names lead to it.

    So a link to a folder further up ends. A folder goes by its own name rather than by that of a link to it.

    Args:
        root: Where to begin.
        unreadable: Is given the folders that cannot be read.

    Yields:
        Each folder, and the sorted names in it.
    """
    folders, links = [root], list[Path]()
    seen: set[tuple[int, int]] = set()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            names = sorted(path.name for path in folder.iterdir())
        except OSError:
            if unreadable is not None:
                unreadable.append(folder)
            continue
        yield folder, names
        below = [folder / name for name in reversed(names)]
        folders += [path for path in below if path.is_dir() and not path.is_symlink()]
        links += [path for path in reversed(below) if path.is_symlink() and path.is_dir()]


class FileFinder:
    """Finds files by names relative to a folder. It remembers the folders that it looked into: make one for a table.

    Names are also found where the letters are composed in the table and decomposed on the disk (as macOS writes them)
    or the other way round, where the name on the disk is in Windows-1252, and where Windows' backslashes are between
    folders.

    Args:
        folder: What names are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, dict[str, str]] = {}

    def path(self, written: str) -> Path:
        """Path of a name, absolute or relative; as it is written where no file has it."""
        path = Path(os.path.normpath(self._folder / written))
        if is_file(path):
            return path
        if "\\" in written:
            return self.path(written.replace("\\", "/"))
        if written.isascii():
            return path
        found = Path(path.anchor)
        for part in path.parts[1 if path.anchor else 0 :]:
            found /= self._actual(found, part)
        return found

    def matches(self, pattern: str) -> list[Path]:
        """Files that match a glob, in no order.

        A part of it that is the name of a file or folder, "frames [a]" for instance, means that. `**` stands for
        folders of any depth (see `walk_folders`).
        """
        path = Path(pattern)
        bases = [Path(path.anchor) if path.anchor else self._folder]
        for part in path.parts[1 if path.anchor else 0 :]:
            bases = list(dict.fromkeys(found for base in bases for found in self._step(base, part)))
        resolved = (Path(os.path.normpath(found)) for found in bases)
        files = [found for found in dict.fromkeys(resolved) if is_file(found)]
        return self.matches(pattern.replace("\\", "/")) if not files and "\\" in pattern else files

    def _actual(self, folder: Path, part: str) -> str:
        """The name that a file of the folder has on the disk; the name as it is written where there is none."""
        if part.isascii() or os.path.lexists(folder / part):
            return part
        return self._names_in(folder).get(composed(part), part)

    def _names_in(self, folder: Path) -> dict[str, str]:
        """The names in a folder by their composed form; empty where it cannot be read."""
        if folder not in self._names:
            try:
                self._names[folder] = {composed(path.name): path.name for path in sorted(folder.iterdir())}
            except OSError:
                self._names[folder] = {}
        return self._names[folder]

    def _step(self, base: Path, part: str) -> Iterator[Path]:
        if part == _ANY_DEPTH:
            yield from (folder for folder, _ in walk_folders(base))
            return
        literal = base / self._actual(base, part)
        if os.path.lexists(literal):
            yield literal
        elif set(part) & _WILD:
            wild = composed(part)
            for name, actual in self._names_in(base).items():
                if fnmatchcase(name, wild) and not name.startswith(_MACOS_LEFTOVER):
                    yield base / actual


def is_pattern(written: str) -> bool:
    """Whether a name may stand for several files."""
    return bool(set(written) & _WILD)
