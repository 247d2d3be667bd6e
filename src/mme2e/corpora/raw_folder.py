"""Finding the files of a raw release."""

from collections.abc import Collection as Several
from collections.abc import Iterator, Sequence
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.file_finder import is_leftover, walk_folders
from mme2e.corpora.table import TableRow, read_table
from mme2e.errors import UserError
from mme2e.text_files import composed, numbered_lines


def existing_folder(folder: Path) -> Path:
    """The folder itself.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; expected is the folder of a raw corpus")
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
    """Files with a suffix by their stem (see `composed`), sorted; without the `._*` files of macOS. May be empty."""
    if not folder.is_dir():
        return {}
    found = (path for path in folder.iterdir() if path.suffix.lower() == suffix and not is_leftover(path))
    return {composed(path.stem): path for path in sorted(found) if path.is_file()}


def files_below(folder: Path, suffixes: Sequence[str], found: Collection) -> list[Path]:
    """Files with one of the suffixes in the folder and in all folders under it, sorted; without `._*` files.

    Folders behind symbolic links count, too, each once (see `walk_folders`). A folder that cannot be read and a link
    that leads nowhere are noted in `found`.
    """
    unreadable: list[Path] = []
    paths = [below / name for below, names in walk_folders(folder, unreadable) for name in names]
    paths = sorted(path for path in paths if path.suffix.lower() in suffixes and not is_leftover(path))
    for path in unreadable:
        found.skip(str(path.relative_to(folder)), "a folder that cannot be read")
    for path in paths:
        if path.is_symlink() and not path.exists():
            found.skip(str(path.relative_to(folder)), "a symbolic link that leads nowhere")
    return [path for path in paths if path.is_file()]


def lines_of(path: Path, found: Collection) -> Iterator[tuple[str, str]]:
    """Place ("file:line") and text of the lines that are not blank; a file that cannot be read is noted in `found`."""
    try:
        for number, line in numbered_lines(path):
            yield f"{path.name}:{number}", line
    except UserError as error:
        found.skip(path.name, error)


def rows_of(path: Path, columns: Several[str], found: Collection) -> tuple[TableRow, ...] | None:
    """Rows of a table in CSV.

    None, with a note in `found`, where it cannot be read or lacks one of the columns; what follows a broken quote is
    noted, too.
    """
    try:
        table = read_table(path, columns)
    except UserError as error:
        found.skip(path.name, error)
        return None
    missing = [column for column in columns if column not in table.headings]
    if missing:
        found.skip(path.name, f"no column {', '.join(missing)}")
        return None
    if table.broken is not None:
        line, reason = table.broken
        found.skip(f"{path.name}:{line}", f"{reason}; what follows is not read")
    return table.rows
