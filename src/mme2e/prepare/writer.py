"""Rows of one recording to Parquet files, one a split, that appear complete or not at all."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from mme2e.data.schema import ROW_SCHEMA, SPLITS, UNASSIGNED

ROW_GROUP_BYTES = 2 << 20
"""Rows are written when this much of them has gathered: it bounds the memory of writer and readers."""

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


class _SplitFile:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        # Unbuffered: closing after an error must not try to write the rest once more.
        self._file = self._temporary.open("wb", buffering=0)
        try:
            self._writer = pq.ParquetWriter(
                self._file,
                ROW_SCHEMA,
                compression="none",  # nearly all of it is PNG and FLAC
                use_dictionary=["recording", "speaker"],
                write_statistics=["start_s"],
                write_page_checksum=True,
            )
        except BaseException:  # it writes its first bytes here
            self._file.close()
            self._temporary.unlink(missing_ok=True)
            raise
        self._rows: list[dict[str, Any]] = []
        self._gathered_bytes = 0

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._gathered_bytes += sum(map(len, row["face_crops"])) + len(row["audio"] or b"")
        if self._gathered_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def finish(self) -> int:
        """Completes the file and gives it its name; returns its size in bytes."""
        self._flush()
        self._writer.close()
        self._file.close()
        size_bytes = self._temporary.stat().st_size
        self._temporary.replace(self._path)
        return size_bytes

    def discard(self) -> None:
        """Leaves nothing behind of an unfinished file; a finished one stays."""
        with suppress(OSError, pa.ArrowException):  # the error that led here is on its way
            self._writer.close()
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=ROW_SCHEMA))
        self._rows, self._gathered_bytes = [], 0
