"""The rows of a manifest, a table in CSV or JSON lines, before anything is made of them."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mme2e.corpora.utterance import Skipped
from mme2e.errors import UserError

LABELS = "labels"
MODALITIES = ("video", "images", "audio", "text")
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
    "images_per_s",
)
OTHER_HEADINGS = {"label": LABELS, "image": "images", "person": "speaker"}
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
DELIMITERS = ",;\t"


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
        rows: Rows that are whole.
        skipped: Broken rows, and columns that mean nothing here.
    """

    columns: frozenset[str]
    rows: tuple[ManifestRow, ...]
    skipped: tuple[Skipped, ...]


def read_rows(path: Path) -> ManifestTable:
    """Reads a manifest; the suffixes .jsonl and .ndjson mean JSON lines, all others CSV.

    The cells of a CSV file are separated by commas, semicolons or tabs, as its first line tells. Headings may be in
    capitals.

    Raises:
        UserError: The file cannot be read, is not UTF-8, has broken quotes, has a column twice, or lacks the labels or
            all of the modalities.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); wanted is a CSV or JSON-lines file") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line} is not UTF-8 text; save the file as 'CSV UTF-8'") from error
    records = list(_json_records(text) if path.suffix.lower() in JSON_LINES_SUFFIXES else _csv_records(text, path))
    headings = dict.fromkeys(key for _, record in records if isinstance(record, dict) for key in record)
    columns = _columns(tuple(headings), path)
    skipped = [Skipped(item=path.name, reason=f"column '{key}' is not used") for key in headings if key not in columns]
    rows = []
    for line, record in records:
        if isinstance(record, str):
            skipped.append(Skipped(item=f"{path.name}:{line}", reason=record))
            continue
        try:
            cells = {columns[key]: _cell(key, value) for key, value in record.items() if key in columns}
        except ValueError as error:
            skipped.append(Skipped(item=f"{path.name}:{line}", reason=str(error)))
            continue
        if line:
            rows.append(ManifestRow(line=line, cells={column: cell for column, cell in cells.items() if cell}))
    return ManifestTable(columns=frozenset(columns.values()), rows=tuple(rows), skipped=tuple(skipped))


def _columns(headings: tuple[str, ...], path: Path) -> dict[str, str]:
    """Column of each heading that means one."""
    columns: dict[str, str] = {}
    for heading in headings:
        name = heading.strip().lower()
        name = OTHER_HEADINGS.get(name, name)
        if name in columns.values():
            raise UserError(f"{path} has two columns of {name}; wanted is one")
        if name in COLUMNS:
            columns[heading] = name
    found = ", ".join(headings) or "nothing"
    if LABELS not in columns.values():
        raise UserError(f"{path} has no column {LABELS}; it has {found}")
    if not set(MODALITIES) & set(columns.values()):
        raise UserError(f"{path} has none of the columns {', '.join(MODALITIES)}; it has {found}")
    return columns


def _csv_records(text: str, path: Path) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Line and cells by heading, or what is wrong with them; first, as line 0, the headings with empty cells."""
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    # Not lenient: with a quote that is never closed the rest of the file would become one cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    headings: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if headings is None:
                headings = cells
                twice = {heading for heading in headings if heading and headings.count(heading) > 1}
                if twice:
                    raise UserError(f"{path} has two columns of {min(twice)}; wanted is one")
                yield 0, dict.fromkeys(headings, "")
            elif len(cells) == len(headings):
                yield line, dict(zip(headings, cells, strict=True))
            elif cells:
                yield line, f"{len(cells)} cells, where the first line has {len(headings)} (unquoted '{delimiter}'?)"
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}:{line} is broken CSV: {error}") from error


def _json_records(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line and values by key, or what is wrong with the line."""
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (json.JSONDecodeError, RecursionError) as error:
            yield line, f"broken JSON: {error}"
            continue
        yield line, record if isinstance(record, dict) else "not a JSON object"


def _cell(heading: str, value: object) -> str:
    """A value as text; null is empty.

    Raises:
        ValueError: It is neither text nor a number nor a list of such.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return json.dumps([str(item) for item in value]) if value else ""
    raise ValueError(f"{heading} is {json.dumps(value)[:80]}; wanted is text, a number or a list of them")
