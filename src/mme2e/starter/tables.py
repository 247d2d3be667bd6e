"""Tables of open collections as manifests: the rows and columns that a recipe asks for, with absolute paths."""

import csv
import io
import logging
from pathlib import Path

from mme2e.atomic import write_text
from mme2e.corpora.manifest_rows import COLUMNS, FILES, OTHER_HEADINGS, VOTES
from mme2e.corpora.table import Table, read_table
from mme2e.errors import UserError
from mme2e.starter.recipe import CollectionSettings

RECORDING, DIALOGUE = "recording", "dialogue"

_log = logging.getLogger(__name__)


def write_manifest(
    name: str, settings: CollectionSettings, labels: tuple[str, ...], table: Path, media: Path, out: Path
) -> int:
    """Writes the manifest of a collection; a file with the same content stays as it is.

    Columns that a manifest does not know are left out; rows that are broken, too, with a warning. A cell of a file
    contains one path.

    Args:
        name: Of the collection: recordings begin with it.
        settings: Of the collection.
        labels: Whose votes are kept.
        table: The collection's, in CSV.
        media: Folder that its paths are relative to.
        out: CSV file to write.

    Returns:
        How many rows it has.

    Raises:
        UserError: The table cannot be read, lacks a column, or no row fits.
    """
    read = read_table(table, (*COLUMNS, *OTHER_HEADINGS), strict=True)
    if read.broken is not None:
        raise UserError(f"{table}:{read.broken[0]} is {read.broken[1]}")
    for column in settings.where:
        if column not in read.headings:
            raise UserError(f"{table} has no column {column}; it has {', '.join(read.headings)}")
    kept = {heading: column for heading in read.headings if (column := _column(heading, settings, labels))}
    numbered = settings.recordings_of is not None and RECORDING not in kept.values()
    if numbered:
        kept = {heading: column for heading, column in kept.items() if column != DIALOGUE}
    heads = [column for column in kept.values() if column not in settings.columns]
    lines = [[*heads, *settings.columns, *([RECORDING] if numbered else [])]]
    for index, cells in enumerate(_rows(read, table, settings)):
        row = [_cell(column, cells[heading], media) for heading, column in kept.items() if column in heads]
        group = [f"{name}{index // settings.recordings_of:03d}"] if numbered and settings.recordings_of else []
        lines.append([*row, *settings.columns.values(), *group])
    if len(lines) == 1:
        wanted = ", ".join(f"{column} {value}" for column, value in settings.where.items())
        raise UserError(f"{table} has no row{f' with {wanted}' if wanted else 's'}")
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    if not out.is_file() or out.read_text(encoding="utf-8") != file.getvalue():
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, file.getvalue())
    return len(lines) - 1


def _column(heading: str, settings: CollectionSettings, labels: tuple[str, ...]) -> str:
    """What a column is called in the manifest; empty where it is left out."""
    name = heading.lower()
    if name.startswith(VOTES):
        label = heading[len(VOTES) :]
        return heading if settings.votes and settings.rename.get(label, label) in labels else ""
    name = OTHER_HEADINGS.get(name, name)
    return name if name in COLUMNS else ""


def _rows(read: Table, table: Path, settings: CollectionSettings) -> list[dict[str, str]]:
    rows = []
    for row in read.rows:
        if row.width != len(read.headings):
            _log.warning("%s:%d is left out: %d cells, expected %d", table, row.line, row.width, len(read.headings))
        elif all(row.cells[column].strip() == value for column, value in settings.where.items()):
            rows.append(row.cells)
    return rows


def _cell(column: str, cell: str, media: Path) -> str:
    return str(media / cell.strip()) if column in FILES and cell.strip() else cell
