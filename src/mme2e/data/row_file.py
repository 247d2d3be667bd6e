"""Parquet files that appear whole or not at all, written with bounded memory."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mme2e.atomic import temporary_beside


class RowFile:
    """A Parquet file of rows, with a checksum on every page; it gets its name when it is finished.

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
