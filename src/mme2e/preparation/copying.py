"""Prepared corpora that are made of prepared corpora: a folder that appears whole or not at all, rows in few files."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.rows import RowFile
from mme2e.data.schema import CORPUS_FILE, ROW_SCHEMA, CorpusInfo
from mme2e.errors import UserError
from mme2e.locking import locked
from mme2e.preparation.writer import ROW_GROUP_BYTES

SHARD_BYTES = 128 << 20
"""A Parquet file of rows takes about so much, whatever the number of its recordings."""

KEY = "key"
"""In `CorpusInfo.provenance`: digest of what the corpus was made of and how."""

_LOCK = ".lock"


def open_sources(folders: Iterable[Path], out: Path) -> list[Corpus]:
    """Opens the prepared corpora that a new one is made of.

    Args:
        folders: Of the corpora.
        out: Folder of the new one.

    Raises:
        UserError: One is not a prepared corpus, or `out` is one of them or within it.
    """
    corpora = []
    for folder in folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"out {out} is, or is within, the corpus {folder}; expected is a folder of its own")
        corpora.append(load_corpus(folder))
    return corpora


def made_before(out: Path, key: str) -> CorpusInfo | None:
    """`corpus.json` of `out` when it was made of the very same; None when `out` is new or empty.

    Args:
        out: Folder of the new corpus.
        key: Digest of what it is made of and how.

    Raises:
        UserError: `out` is a file or holds something else.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; expected is a folder for the prepared corpus")
    if not out.is_dir() or not any(out.iterdir()):
        return None
    if not (out / CORPUS_FILE).is_file():
        raise UserError(f"{out} holds other files; expected is an empty or a new folder")
    info = CorpusInfo.read(out)
    if info.provenance.get(KEY) != key:
        raise UserError(f"{out} holds another prepared corpus; expected is an empty or a new folder")
    return info


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Gives a folder beside `out` that becomes `out` when the `with` block ends well, and is removed when it does not.

    What a killed process left of it is removed by the next one. `out` must be new or empty.

    Raises:
        UserError: Another process is making `out`.
        OSError: It cannot be written there.
    """
    out = out.resolve()
    folder = out.with_name(f".{out.name}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / _LOCK, f"another process is writing {out}; wait for its end, or choose another folder"):
        try:
            _empty(folder)
            yield folder
            if out.is_dir():
                out.rmdir()
            folder.rename(out)
            (out / _LOCK).unlink()
        finally:
            if folder.exists():
                shutil.rmtree(folder)


def _empty(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
        elif child.name != _LOCK:
            child.unlink()


def gathered(tables: Iterable[pa.Table], group_bytes: int = ROW_GROUP_BYTES) -> Iterator[pa.Table]:
    """Small tables joined to tables of about `group_bytes` each, so that columns are worked on as a whole."""
    waiting: list[pa.Table] = []
    size_bytes = 0
    for table in tables:
        waiting.append(table)
        size_bytes += table.nbytes
        if size_bytes >= group_bytes:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, size_bytes = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


class ShardWriter:
    """Writes rows of one split to numbered Parquet files of about `SHARD_BYTES`; use it in a `with` statement.

    Args:
        folder: Of the split.
        stem: Beginning of the files' names.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder, self._stem = folder, stem
        self._file: RowFile | None = None
        self._number = 0
        self._size_bytes = 0

    def __enter__(self) -> "ShardWriter":
        return self

    def add(self, row: dict[str, Any], size_bytes: int) -> None:
        """Adds a row (see `ROW_SCHEMA`) that takes about `size_bytes`."""
        self._opened().add(row, size_bytes)
        self._grown(size_bytes)

    def add_table(self, table: pa.Table) -> None:
        """Adds rows as a row group of its own."""
        if table.num_rows:
            self._opened().add_table(table)
            self._grown(table.nbytes)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file is not None:
            try:
                if error is None:
                    self._file.finish()
            finally:
                self._file.discard()

    def _opened(self) -> RowFile:
        if self._file is None:
            self._file = RowFile(
                self._folder / f"{self._stem}{self._number:05d}.parquet",
                ROW_SCHEMA,
                group_bytes=ROW_GROUP_BYTES,
                compression="none",  # nearly all of it is PNG and FLAC
                dictionary=("recording", "speaker"),
                statistics=("recording", "start_s"),
            )
        return self._file

    def _grown(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._size_bytes >= SHARD_BYTES and self._file is not None:
            self._file.finish()
            self._file, self._size_bytes = None, 0
            self._number += 1


def face_settings(corpora: Sequence[Corpus]) -> dict[str, object] | None:
    """How the faces of corpora were found, as in their provenance; None where it differs or is not known."""
    settings = [corpus.info.provenance.get("settings") for corpus in corpora]
    found = [each.get("face") if isinstance(each, dict) else None for each in settings]
    return found[0] if found and isinstance(found[0], dict) and all(each == found[0] for each in found) else None


def one_phrase(corpora: Sequence[Corpus]) -> str:
    """The split protocols of corpora in one phrase: the one that all share, or each once."""
    return "; ".join(dict.fromkeys(corpus.info.split_protocol for corpus in corpora))
