"""Tables in CSV, whoever saved them: other delimiters, a line `sep=;`, any encoding."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mme2e.text_files import read_text, tidy_name

DELIMITERS = ",;\t"
_DELIMITER_LINE = re.compile(r'"?sep=(.)"?[;,\t]*\r?\n', re.IGNORECASE)
"""What Excel reads and writes above the headings."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row that is not blank.

    Attributes:
        line: The line that it begins in, from 1.
        cells: By heading; those that a short row lacks are not there.
        width: How many cells it has.
    """

    line: int
    cells: dict[str, str]
    width: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        headings: As they are written, but for characters that are not seen (see `tidy_name`).
        delimiter: Between two cells.
        rows: In their order.
        broken: Line and reason of what ends the table before its time; what follows is not in `rows`.
    """

    headings: tuple[str, ...]
    delimiter: str
    rows: tuple[TableRow, ...]
    broken: tuple[int, str] | None = None


def read_table(path: Path, columns: Collection[str], *, strict: bool = False) -> Table:
    """Reads a table in CSV; blank rows are left out.

    The cells are separated by commas, semicolons or tabs: by what makes most of the headings known columns.

    Args:
        path: The file.
        columns: Known columns, in any case.
        strict: Whether a quote in the wrong place ends the table.

    Raises:
        UserError: The file cannot be read, or is no text.
    """
    return parse_table(read_text(path), columns, strict=strict)


def parse_table(
    text: str, columns: Collection[str], *, strict: bool = False, delimiters: str = DELIMITERS, lines_above: int = 0
) -> Table:
    """As `read_table`, from text.

    Args:
        text: Of the file.
        columns: Known columns, in any case.
        strict: Whether a quote in the wrong place ends the table.
        delimiters: Those that are tried, the likeliest first.
        lines_above: How many lines of the text are not in the file; they are not counted.
    """
    given = _DELIMITER_LINE.match(text)
    first_line = 1 - lines_above
    if given is not None:
        text, first_line = text[given.end() :], first_line + 1
    known = {column.lower() for column in columns}
    delimiter = given[1] if given is not None else max(delimiters, key=lambda d: _known_headings(text, d, known))
    headings: tuple[str, ...] | None = None
    rows: list[TableRow] = []
    broken = None
    line, reader = first_line, _reader(text, delimiter, strict)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if headings is None:
                    headings = tuple(map(tidy_name, cells))
                else:
                    own = dict(zip(headings, cells, strict=False))
                    rows.append(TableRow(line=line, cells=own, width=len(cells)))
            line = reader.line_num + first_line
    except csv.Error as error:
        broken = (line, f"broken CSV: {error}")
    return Table(headings=headings or (), delimiter=delimiter, rows=tuple(rows), broken=broken)


def _reader(text: str, delimiter: str, strict: bool) -> "csv._reader":  # type: ignore[name-defined]
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)


def _known_headings(text: str, delimiter: str, known: Collection[str]) -> tuple[int, int]:
    """How many headings are known columns with this delimiter, and how many there are."""
    rows: Iterator[list[str]] = _reader(text, delimiter, strict=False)
    try:
        headings = next((cells for cells in rows if any(cell.strip() for cell in cells)), [])
    except csv.Error:
        return 0, 0
    return sum(tidy_name(heading).lower() in known for heading in headings), len(headings)
