"""The rows of a manifest, a table in CSV or JSON lines, before anything is made of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mme2e.corpora.table import parse_table
from mme2e.corpora.utterance import Skipped
from mme2e.errors import UserError
from mme2e.text_files import decode_text, line_not_utf_8, printable, tidy_name

LABELS = "labels"
FACE_CROP = "face_crop"
FILES = ("video", "images", "audio")
MODALITIES = (*FILES, "text")
COLUMNS = (
    *MODALITIES,
    LABELS,
    "start_s",
    "end_s",
    "speaker",
    "split",
    "id",
    "recording",
    "dialogue",
    "region",
    "audio_channel",
    "video_track",
    "audio_track",
    "images_per_s",
    FACE_CROP,
)
OTHER_HEADINGS = {"label": LABELS, "image": "images", "person": "speaker"}
VOTES = "v_"
"""How the column of the votes for a label begins; the label follows."""

OTHER_VOTES = "votes_"
"""The same in headings."""

JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
MISSING = frozenset(
    ("nan", "NaN", "NAN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaT", "None", "NULL", "null")
)
"""What pandas, R and spreadsheets write into cells that have no value."""


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One row.

    Attributes:
        line: Its number in the file, from 1.
        cells: Text by column; without empty cells. A list of a JSON line is JSON here, too.
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ManifestTable:
    """A manifest as it stands in its file.

    Attributes:
        columns: Those of `COLUMNS` that it has.
        vote_labels: Labels that have a column of votes, which is called `VOTES` and the label.
        rows: Rows that are whole.
        skipped: Broken rows, and columns that mean nothing here.
    """

    columns: frozenset[str]
    vote_labels: tuple[str, ...]
    rows: tuple[ManifestRow, ...]
    skipped: tuple[Skipped, ...]


def read_rows(path: Path) -> ManifestTable:
    """Reads a manifest; the suffixes .jsonl and .ndjson mean JSON lines, all others CSV.

    Headings may be in capitals. Of CSV see `read_table`, of the encoding `decode_text`. A cell of `MISSING` is empty.

    Raises:
        UserError: The file cannot be read, is no text, has broken quotes, has a column twice, or lacks labels and
            votes or all of the modalities.
    """
    try:
        content = path.read_bytes()
        text = decode_text(content)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); expected is a CSV or JSON-lines file") from error
    except ValueError as error:
        raise UserError(f"{path} is not a table in CSV or JSON lines: {error}") from error
    is_json = path.suffix.lower() in JSON_LINES_SUFFIXES
    headings, records = _json_records(text) if is_json else _csv_records(text, path)
    columns = _columns(headings, path)
    skipped = [Skipped(item=path.name, reason=f"column '{key}' is not used") for key in headings if key not in columns]
    odd_line = line_not_utf_8(content)
    if odd_line is not None:
        reason = f"not all of it is UTF-8, first line {odd_line}: such lines are read as Windows-1252"
        skipped.append(Skipped(item=path.name, reason=reason))
    rows = []
    missing, damaged = _Remark(), _Remark()
    for line, record in records:
        if isinstance(record, str):
            skipped.append(Skipped(item=f"{path.name}:{line}", reason=record))
            continue
        try:
            cells = {columns[key]: _cell(columns[key], key, value) for key, value in record.items() if key in columns}
        except ValueError as error:
            skipped.append(Skipped(item=f"{path.name}:{line}", reason=str(error)))
            continue
        for column, cell in cells.items():
            if cell in MISSING:
                missing.note(cell, line)
                cells[column] = ""
            elif column not in FILES and printable(cell) != cell:
                damaged.note(cell, line)
        rows.append(ManifestRow(line=line, cells={column: cell for column, cell in cells.items() if cell}))
    for remark, meaning in ((missing, "taken as missing"), (damaged, "not Unicode, written with escapes")):
        if remark.count:
            skipped.append(Skipped(item=path.name, reason=f"{remark}: {meaning}"))
    vote_labels = tuple(name.removeprefix(VOTES) for name in columns.values() if name.startswith(VOTES))
    return ManifestTable(
        columns=frozenset(columns.values()) & frozenset(COLUMNS),
        vote_labels=vote_labels,
        rows=tuple(rows),
        skipped=tuple(skipped),
    )


@dataclass
class _Remark:
    """Cells of one kind, which are reported once."""

    count: int = 0
    first_line: int = 0
    examples: dict[str, None] = field(default_factory=dict)

    def note(self, cell: str, line: int) -> None:
        self.first_line = self.first_line or line
        self.count += 1
        if len(self.examples) < 3:
            self.examples[printable(cell[:40])] = None

    def __str__(self) -> str:
        examples = ", ".join(f"'{example}'" for example in self.examples)
        return f"{self.count} cells like {examples}, the first in line {self.first_line}"


def _columns(headings: tuple[str, ...], path: Path) -> dict[str, str]:
    """Column of each heading that means one."""
    columns: dict[str, str] = {}
    for heading in headings:
        name = tidy_name(heading).lower()
        label = _vote_label(heading)
        name = VOTES + label if label else OTHER_HEADINGS.get(name, name)
        if name.casefold() in (known.casefold() for known in columns.values()):
            raise UserError(f"{path} has two columns of {name}; expected is one")
        if label or name in COLUMNS:
            columns[heading] = name
    found = ", ".join(map(printable, headings)) or "nothing"
    if LABELS not in columns.values() and not any(name.startswith(VOTES) for name in columns.values()):
        raise UserError(f"{path} has no column {LABELS}; it has {found}")
    if not set(MODALITIES) & set(columns.values()):
        raise UserError(f"{path} has none of the columns {', '.join(MODALITIES)}; it has {found}")
    return columns


def _vote_label(heading: str) -> str:
    """The label whose votes a column contains, as it is written; empty for other columns."""
    name = tidy_name(heading)
    prefix = next((each for each in (VOTES, OTHER_VOTES) if name.lower().startswith(each)), None)
    return "" if prefix is None else name[len(prefix) :].strip()


_Records = Iterator[tuple[int, dict[str, Any] | str]]
"""Line and values by heading, or what is wrong with the line."""


def _csv_records(text: str, path: Path) -> tuple[tuple[str, ...], _Records]:
    # Not lenient: with a quote that is never closed the rest of the file would become one cell.
    table = parse_table(text, (*COLUMNS, *OTHER_HEADINGS), strict=True)
    if table.broken is not None:
        raise UserError(f"{path}:{table.broken[0]} is {table.broken[1]}")
    twice = {heading for heading in table.headings if heading and table.headings.count(heading) > 1}
    if twice:
        raise UserError(f"{path} has two columns of {min(twice)}; expected is one")
    width, delimiter = len(table.headings), table.delimiter
    wrong = f"cells, where the first line has {width} (unquoted '{delimiter}'?)"
    records = ((row.line, row.cells if row.width == width else f"{row.width} {wrong}") for row in table.rows)
    return tuple(dict.fromkeys(table.headings)), records


def _json_records(text: str) -> tuple[tuple[str, ...], _Records]:
    records: list[tuple[int, dict[str, Any] | str]] = []
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            records.append((line, f"broken JSON: {error}"))
        else:
            records.append((line, record if isinstance(record, dict) else "not a JSON object"))
    headings = dict.fromkeys(key for _, record in records if isinstance(record, dict) for key in record)
    return tuple(headings), iter(records)


def _cell(column: str, heading: str, value: object) -> str:
    """A value as text; null is empty.

    Raises:
        ValueError: It is neither text nor a number nor a list of such.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) and column == FACE_CROP:
        return str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return json.dumps([str(item) for item in value]) if value else ""
    raise ValueError(f"{heading} is {json.dumps(value)[:80]}; expected is text, a number or a list of them")
