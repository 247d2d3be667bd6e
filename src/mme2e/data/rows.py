"""Rows on disk: Parquet files, and the Arrow files that they are unpacked into to be read one by one.

The Parquet files are the corpus, or its features. To read single rows fast they are unpacked once, a split at a time,
into one Arrow file that is mapped into memory: a row at random costs microseconds, and the processes of a data loader
share the pages. Its name holds the Parquet files' names, sizes and times of change, so that rows that were prepared
again are never served from an old file.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mme2e.atomic import replacing, temporary_beside
from mme2e.errors import UserError

CACHE_FOLDER = ".cache"
"""In a prepared corpus: what is unpacked; can be deleted at any time."""


def digest(content: object) -> str:
    """16 hexadecimal digits of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """Rows of one kind, and what to do about a file that does not hold them.

    Attributes:
        name: With its version, for errors.
        schema: Of the rows.
        remedy: What the user can do about a damaged file.
        added: Columns that files of earlier versions lack; they read as null.
    """

    name: str
    schema: pa.Schema
    remedy: str
    added: tuple[str, ...] = ()

    def unpacked(self, files: Sequence[Path], *, corpus: Path, stem: str) -> Path:
        """The Arrow file with the rows of Parquet files, one file after the other.

        It is written when it is not there, in place of older ones, a row group at a time.

        Args:
            files: The Parquet files.
            corpus: Folder of the prepared corpus that they belong to.
            stem: Beginning of the Arrow file's name: one for all states of the same files.

        Raises:
            UserError: A Parquet file is damaged or holds other rows, or the Arrow file cannot be written.
        """
        states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        cache = _cache_folder(corpus)
        path = cache / f"{stem}-{digest([self.name, states])}.arrow"  # another version has other columns
        if not path.is_file():
            try:
                cache.mkdir(parents=True, exist_ok=True)
                for old in cache.glob(f"{stem}-*.arrow"):
                    old.unlink(missing_ok=True)
                self._unpack(files, path)
            except OSError as error:
                raise UserError(f"cannot unpack '{stem}' into {cache}: {error.strerror or error}") from error
        return path

    def columns(self, path: Path, names: Sequence[str]) -> pa.Table:
        """Some columns of a Parquet file; the others are not read.

        Raises:
            UserError: The file is damaged or lacks a column.
        """
        with self._opened(path) as file:
            lacking = [name for name in names if name not in file.schema_arrow.names and name not in self.added]
            if lacking:
                raise UserError(f"{path} has no column {', '.join(lacking)}; {self.remedy}")
            return self._with_added(file.read(columns=list(names)), names)

    def _unpack(self, files: Sequence[Path], path: Path) -> None:
        with (
            replacing(path) as temporary,
            temporary.open("wb") as file,
            pa.ipc.new_stream(file, self.schema) as stream,
        ):
            for source in files:
                for table in self.row_groups(source):
                    stream.write_table(table)

    def row_groups(self, path: Path) -> Iterator[pa.Table]:
        """The rows of a Parquet file, one row group after the other.

        Raises:
            UserError: The file is damaged or holds other rows.
        """
        with self._opened(path) as file:
            lacking = [name for name in self.added if name not in file.schema_arrow.names]
            if not file.schema_arrow.equals(pa.schema([each for each in self.schema if each.name not in lacking])):
                raise UserError(f"{path} has other columns than {self.name}; {self.remedy}")
            for index in range(file.num_row_groups):
                # Of thousands of files, threads would cost a third.
                yield self._with_added(file.read_row_group(index, use_threads=False), self.schema.names)

    def _with_added(self, table: pa.Table, names: Sequence[str]) -> pa.Table:
        """Columns of a file, with nulls for those of later versions."""
        lacking = [name for name in names if name not in table.schema.names]
        for name in lacking:
            table = table.append_column(self.schema.field(name), pa.nulls(len(table), self.schema.field(name).type))
        return table.select(list(names)) if lacking else table

    @contextmanager
    def _opened(self, path: Path) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is damaged ({error}); {self.remedy}") from error


def _cache_folder(corpus: Path) -> Path:
    if os.access(corpus, os.W_OK):
        return corpus / CACHE_FOLDER
    # A corpus that is shared read-only is unpacked where `datasets` keeps its own files.
    from datasets.config import HF_DATASETS_CACHE

    return Path(HF_DATASETS_CACHE) / "mme2e" / digest(str(corpus.resolve()))


class RowFile:
    """A Parquet file that appears whole or not at all, written with bounded memory, with a checksum on every page.

    Args:
        path: The file; its folder is made.
        schema: Of the rows.
        group_bytes: Rows are written when so much of them has gathered; it bounds the memory of writer and readers.
        compression: Of all columns.
        dictionary: Columns of few values, each of which is stored once.
        statistics: Columns whose least and greatest values are stored.

    Raises:
        OSError: It cannot be written there; so do `add` and `finish`.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        *,
        group_bytes: int,
        compression: Literal["none", "zstd"],
        dictionary: tuple[str, ...] = (),
        statistics: tuple[str, ...] = (),
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = temporary_beside(path)
        # Unbuffered: closing after an error must not try to write the rest once more.
        self._file = self._temporary.open("wb", buffering=0)
        try:
            self._writer = pq.ParquetWriter(
                self._file,
                schema,
                compression=compression,
                use_dictionary=list(dictionary),
                write_statistics=list(statistics),
                write_page_checksum=True,
            )
        except BaseException:  # it writes its first bytes here
            self._file.close()
            self._temporary.unlink(missing_ok=True)
            raise
        self._schema = schema
        self._group_bytes = group_bytes
        self._rows: list[dict[str, Any]] = []
        self._gathered_bytes = 0

    def add(self, row: dict[str, Any], size_bytes: int) -> None:
        """Adds a row that takes about `size_bytes`."""
        self._rows.append(row)
        self._gathered_bytes += size_bytes
        if self._gathered_bytes >= self._group_bytes:
            self._flush()

    def add_table(self, table: pa.Table) -> None:
        """Adds rows that are a table already; they are written at once, so it bounds the memory as `group_bytes`."""
        self._flush()
        self._writer.write_table(table)

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
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._gathered_bytes = [], 0
