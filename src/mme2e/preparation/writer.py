"""Rows of one recording to Parquet files, one a split, that appear complete or not at all."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from mme2e.data.rows import RowFile
from mme2e.data.schema import ROW_SCHEMA, SPLITS, UNASSIGNED

ROW_GROUP_BYTES = 2 << 20
"""See `RowFile`."""

LONGEST_NAME = 150
"""File systems take 255 bytes; endings and the name of a temporary file must fit, too."""

FOLDERS = (*SPLITS, UNASSIGNED)


def file_name(recording: str) -> str:
    """A file name for a recording's id, without its ending: the id itself where it is made of harmless letters."""
    name = quote(recording, safe="")
    if len(name) > LONGEST_NAME:
        return f"{name[:LONGEST_NAME]}~{hashlib.sha256(recording.encode()).hexdigest()[:16]}"
    return f"%2E{name[1:]}" if name.startswith(".") else name


def remove_rows(out: Path, recording: str) -> None:
    """Removes all files of a recording, whatever the splits it was in."""
    for folder in FOLDERS:
        (out / folder / f"{file_name(recording)}.parquet").unlink(missing_ok=True)


class RowWriter:
    """Writes the rows of one recording; use it in a `with` statement, at whose end the files appear.

    Attributes:
        sizes_bytes: After the `with` statement: size of the file in each split.
        counts: Rows in each split.
    """

    def __init__(self, out: Path, recording: str) -> None:
        self._out = out
        self._name = file_name(recording)
        self._files: dict[str, _SplitFile] = {}
        self.counts: dict[str, int] = {}
        self.sizes_bytes: dict[str, int] = {}

    def __enter__(self) -> "RowWriter":
        return self

    def write(self, split: str | None, row: dict[str, Any]) -> None:
        """Adds a row (see `ROW_SCHEMA`) to the recording's file in a split; None means unassigned."""
        split = split or UNASSIGNED
        if split not in self._files:
            self._files[split] = _SplitFile(self._out / split / f"{self._name}.parquet")
        self._files[split].write(row)
        self.counts[split] = self.counts.get(split, 0) + 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                for split, file in self._files.items():
                    self.sizes_bytes[split] = file.finish()
        finally:
            for file in self._files.values():
                file.discard()


class _SplitFile(RowFile):
    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            ROW_SCHEMA,
            group_bytes=ROW_GROUP_BYTES,
            compression="none",  # nearly all of it is PNG and FLAC
            dictionary=("recording", "speaker"),
            statistics=("start_s",),
        )

    def write(self, row: dict[str, Any]) -> None:
        self.add(row, sum(map(len, row["face_crops"])) + len(row["audio"] or b""))
