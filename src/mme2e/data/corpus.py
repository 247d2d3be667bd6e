"""Opening a prepared corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mme2e.data.rows import digest
from mme2e.data.schema import ROWS, SPLITS, UNASSIGNED, CorpusInfo
from mme2e.data.votes import VoteOrder
from mme2e.errors import UserError
from mme2e.scores.overlap import KINDS, Leakage, leakage

if TYPE_CHECKING:
    from datasets import Dataset


def load_corpus(folder: Path) -> "Corpus":
    """Opens the prepared corpus in `folder`.

    Raises:
        UserError: The folder is not a prepared corpus, or its preparation is not finished.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; expected a corpus made with 'mme2e prepare'")
    return Corpus(folder, CorpusInfo.read(folder))


class ClosedSplitError(Exception):
    """Something asked for a split that `Corpus.without` has closed: a mistake in the program, not the user's."""


class Corpus:
    """A prepared corpus.

    Attributes:
        folder: Where it is.
        info: Its `corpus.json`.
        meaning: Name in `info.label_names` for a label that rows have; those that are not in it stand for themselves.
    """

    def __init__(self, folder: Path, info: CorpusInfo) -> None:
        self.folder = folder
        self.info = info
        self._open: dict[str, Dataset] = {}
        self._closed: frozenset[str] = frozenset()
        self.meaning: dict[str, str] = {}
        self._stored_names = info.label_names

    def relabelled(self, label_names: tuple[str, ...], meaning: dict[str, str]) -> "Corpus":
        """The same corpus with the label names of a model: what no row is labelled with is an emotion that none has.

        Args:
            label_names: In the order of the model's logits.
            meaning: Name of the model for each label name of the corpus.
        """
        view = Corpus(self.folder, replace(self.info, label_names=label_names))
        view._closed, view.meaning, view._stored_names = self._closed, meaning, self._stored_names
        view.__dict__["fingerprint"] = self.fingerprint  # it is still the same corpus
        return view

    def without(self, *closed: str) -> "Corpus":
        """The same corpus with some splits closed: whatever asks the result for their rows gets `ClosedSplitError`.

        It is still the same corpus by its fingerprints, so that what is made with it fits the whole one. They hold
        names and sizes of files, and ids.
        """
        view = Corpus(self.folder, self.info)
        view._closed, view.meaning = self._closed | set(closed), self.meaning
        view._stored_names = self._stored_names
        return view

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have utterances and are open."""
        return tuple(name for name in (*SPLITS, UNASSIGNED) if name not in self._closed and self._files(name))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that distinguish one preparation from another.

        Made from `corpus.json` without its date and from the names and sizes of the Parquet files: the same
        wherever the corpus is copied to.
        """
        info = asdict(self.info)
        info["provenance"] = {key: value for key, value in self.info.provenance.items() if key != "date"}
        files = [(name, path.name, path.stat().st_size) for name, path in self._all_files()]
        return digest([info, files])

    @cached_property
    def utterances_fingerprint(self) -> str:
        """16 hexadecimal digits of the ids in each split, however they were prepared."""
        ids: dict[str, list[str]] = {}
        for name, path in self._all_files():
            ids.setdefault(name, []).extend(ROWS.columns(path, ["id"])["id"].to_pylist())
        return digest({name: sorted(found) for name, found in ids.items()})

    def split(self, name: str) -> "Dataset":
        """The rows of one split, mapped into memory.

        Raises:
            UserError: There is no such split, or one of its files is damaged; both are named.
        """
        if name not in self._open:
            files = self._files(name)
            if not files:
                available = ", ".join(self.splits) or "none at all"
                raise UserError(f"{self.folder} has no utterances in split '{name}'; available: {available}")
            from datasets import Dataset

            self._open[name] = Dataset.from_file(str(ROWS.unpacked(files, corpus=self.folder, stem=name)))
        return self._open[name]

    def columns(self, split: str, names: Sequence[str]) -> pa.Table:
        """Some columns of a split, straight from the Parquet files; video and audio are not read for them.

        Returns:
            A row an utterance, in the order of `split`; none where the split has no utterances.

        Raises:
            UserError: A file is damaged or lacks a column; it is named.
        """
        empty = pa.schema([ROWS.schema.field(name) for name in names]).empty_table()
        return pa.concat_tables([empty, *(ROWS.columns(path, names) for path in self._files(split))])

    def tables(self, split: str) -> Iterator[pa.Table]:
        """All rows of a split, a row group at a time, straight from the Parquet files, in the order of `split`.

        Raises:
            UserError: A file is damaged; it is named.
        """
        for path in self._files(split):
            yield from ROWS.row_groups(path)

    def labels(self, name: str) -> np.ndarray:
        """Labels of a split: (utterances, emotions) float32, 1 where present, emotions in `info.label_names` order.

        Raises:
            UserError: A row has a label that `corpus.json` does not know.
        """
        return np.stack(
            [multi_hot(labels, self.info.label_names, self.meaning) for labels in self.split(name)["labels"]]
        )

    @property
    def vote_order(self) -> VoteOrder:
        """What puts the votes of a row in the order of `info.label_names`."""
        return VoteOrder.of(self._stored_names, self.info.label_names, self.meaning)

    def votes(self, name: str) -> np.ndarray | None:
        """Votes of annotators in a split.

        Returns:
            (utterances, emotions) float32, emotions in `info.label_names` order, NaN in the rows of utterances without
            votes; None where no utterance has any.

        Raises:
            UserError: A row has votes for more or fewer emotions than there are.
        """
        column = self.columns(name, ["votes"])["votes"]
        if column.null_count == len(column):
            return None
        order = self.vote_order
        votes = np.full((len(column), len(self.info.label_names)), np.nan, dtype=np.float32)
        for row, given in zip(votes, column.to_pylist(), strict=True):
            if given is not None:
                row[:] = order.row(given)
        return votes

    def leakage(self, split: str = "test", against: str = "train") -> Leakage:
        """Counts what a split shares with another one; only ids and texts are read.

        Args:
            split: Whose utterances are counted.
            against: In which split they are looked for. A split without utterances shares nothing.

        Raises:
            UserError: A file of the corpus is damaged; it is named.
        """
        here, there = (self.columns(name, KINDS).to_pydict() for name in (split, against))
        return leakage(here, there, split=split, against=against)

    def texts(self, name: str) -> list[str]:
        """The transcripts of a split, without the missing ones."""
        return [text for text in self.split(name)["text"] if text is not None]

    def _files(self, split: str) -> list[Path]:
        if split in self._closed:
            raise ClosedSplitError(f"the split '{split}' of {self.folder} is closed here")
        return _parquet_files(self.folder / split)

    def _all_files(self) -> list[tuple[str, Path]]:
        """Splits and their files, those of closed ones included."""
        return [(name, path) for name in (*SPLITS, UNASSIGNED) for path in _parquet_files(self.folder / name)]


def _parquet_files(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*.parquet") if not path.name.startswith("."))
    return sorted(found, key=lambda path: path.name)


def multi_hot(labels: list[str], label_names: tuple[str, ...], meaning: dict[str, str] | None = None) -> np.ndarray:
    """(emotions,) float32, 1 for each of `labels`, or what it means.

    Raises:
        UserError: A label is not among `label_names`.
    """
    row = np.zeros(len(label_names), dtype=np.float32)
    for label in labels:
        label = (meaning or {}).get(label, label)
        if label not in label_names:
            raise UserError(f"a row has the label '{label}', but the corpus' labels are {', '.join(label_names)}")
        row[label_names.index(label)] = 1
    return row
