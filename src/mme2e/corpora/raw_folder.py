"""Finding and reading the text files of a raw release."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mme2e.errors import UserError


def existing_folder(folder: Path) -> Path:
    """The folder itself.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; the folder of a raw corpus is wanted")
    return folder


def first_folder(roots: Sequence[Path], relative: Sequence[str]) -> Path:
    """The first folder `root / name` that exists, roots before names.

    Raises:
        UserError: None of them exists; the message names what was looked for.
    """
    for root in roots:
        for name in relative:
            if (root / name).is_dir():
                return root / name
    raise UserError(f"{roots[0]} has no folder {' or '.join(relative)}")


def files_of(folder: Path, suffix: str) -> dict[str, Path]:
    """Files with a suffix by their stem, sorted; without the `._*` files that macOS leaves behind. May be empty."""
    if not folder.is_dir():
        return {}
    found = (path for path in folder.iterdir() if path.suffix.lower() == suffix and not path.name.startswith("._"))
    return {path.stem: path for path in sorted(found) if path.is_file()}


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files with one of the suffixes in the folder and in all folders under it, sorted; without `._*` files."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and not path.name.startswith("._"))
    return sorted(path for path in found if path.is_file())


def text_of(path: Path) -> str:
    """A text file, read as UTF-8 or else as Latin-1, in which old releases are.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1 (see `text_of`).

    Raises:
        UserError: The file cannot be read.
    """
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")
