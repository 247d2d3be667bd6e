"""Reading the hand-crafted features of a prepared corpus."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.feature_schema import (
    FEATURE_ROWS,
    FEATURES_FILE,
    FEATURES_FOLDER,
    MODALITY_NAMES,
    FeaturesInfo,
)
from mme2e.errors import UserError


class FeatureMatrices(NamedTuple):
    """The features of one utterance: (steps, size) float32 each, None where it lacks the modality. Read only."""

    text: np.ndarray | None
    acoustic: np.ndarray | None
    visual: np.ndarray | None


def load_features(corpus: Corpus | Path) -> "Features":
    """Opens the hand-crafted features of a prepared corpus.

    Args:
        corpus: The corpus or its folder.

    Raises:
        UserError: There are none, they are damaged, or they were made of other utterances than the corpus has now.
    """
    opened = corpus if isinstance(corpus, Corpus) else load_corpus(corpus)
    info = FeaturesInfo.read(opened.folder / FEATURES_FOLDER)
    if info.corpus != opened.utterances_fingerprint:
        raise UserError(
            f"the features in {opened.folder / FEATURES_FOLDER} were made of other utterances than the corpus has; "
            f"run 'mme2e features {opened.folder}' again"
        )
    return Features(opened, info)


class Features:
    """The hand-crafted features of a prepared corpus.

    Attributes:
        info: Its `features.json`: kinds, sizes, means.
        folder: Where they are.
    """

    def __init__(self, corpus: Corpus, info: FeaturesInfo) -> None:
        self.info = info
        self.folder = corpus.folder / FEATURES_FOLDER
        self._corpus = corpus
        self._open: dict[str, SplitFeatures] = {}

    def split(self, name: str) -> "SplitFeatures":
        """The features of one split, by utterance id.

        Raises:
            UserError: The corpus has no such split, or the file is missing or damaged.
        """
        if name not in self._open:
            identities = tuple(self._corpus.split(name)["id"])
            path = self.folder / f"{name}.parquet"
            unpacked = self._unpacked(name, path) if any(self.info.counts.get(name, {}).values()) else None
            self._open[name] = SplitFeatures(identities, self.info, unpacked)
            self._check(path, self._open[name])
        return self._open[name]

    def _check(self, path: Path, features: "SplitFeatures") -> None:
        if not features.fits_sizes():
            raise UserError(
                f"{path} does not fit {FEATURES_FILE} beside it; run 'mme2e features {self._corpus.folder}' again"
            )

    def _unpacked(self, split: str, path: Path) -> Path:
        if not path.is_file():
            raise UserError(f"{path} is missing; run 'mme2e features {self._corpus.folder}' again")
        return FEATURE_ROWS.unpacked([path], corpus=self._corpus.folder, stem=f"features-{split}")


class SplitFeatures(Mapping[str, FeatureMatrices]):
    """The features of one split: utterance id -> `FeatureMatrices`; every utterance of the split has an entry.

    Attributes:
        info: What the features are.
    """

    def __init__(self, identities: tuple[str, ...], info: FeaturesInfo, unpacked: Path | None) -> None:
        self.info = info
        self._identities = identities
        self._path = unpacked
        self._open()

    def _open(self) -> None:
        self._table: pa.Table = FEATURE_ROWS.schema.empty_table()
        if self._path is not None:
            self._table = pa.ipc.open_stream(pa.memory_map(str(self._path))).read_all()
        # Slicing the values by hand is ten times as fast as asking the table for a row.
        self._chunks = [
            {name: (column, column.values.to_numpy(), column.offsets.to_numpy()) for name, column in columns.items()}
            for columns in ({name: batch[name] for name in MODALITY_NAMES} for batch in self._table.to_batches())
        ]
        self._places: dict[str, tuple[int, int] | None] = dict.fromkeys(self._identities)  # None: has no features
        for chunk, batch in enumerate(self._table.to_batches()):
            self._places.update((identity, (chunk, row)) for row, identity in enumerate(batch["id"].to_pylist()))

    def __getstate__(self) -> dict[str, Any]:
        return {"info": self.info, "_identities": self._identities, "_path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self._identities)

    def __iter__(self) -> Iterator[str]:
        return iter(self._identities)

    def __getitem__(self, identity: str) -> FeatureMatrices:
        place = self._places[identity]
        if place is None:
            return FeatureMatrices(None, None, None)
        chunk, row = place
        return FeatureMatrices(*(self._matrix(name, chunk, row) for name in MODALITY_NAMES))

    def steps(self, modality: str) -> np.ndarray:
        """(utterances,) int64 in the order of the corpus: steps of "text", "acoustic" or "visual", 0 where missing."""
        lengths = dict(zip(self._table["id"].to_pylist(), self._table[f"{modality}_steps"].to_pylist(), strict=True))
        return np.array([lengths.get(identity, 0) for identity in self._identities], dtype=np.int64)

    def fits_sizes(self) -> bool:
        """Whether every matrix has the number of columns that `info` states."""
        for name in MODALITY_NAMES:
            modality = self.info.modality(name)
            lengths = pc.fill_null(pc.list_value_length(self._table[name]), 0).to_numpy()
            size = 0 if modality is None else modality.size
            if not np.array_equal(lengths, self._table[f"{name}_steps"].to_numpy() * size):
                return False
        return True

    def _matrix(self, name: str, chunk: int, row: int) -> np.ndarray | None:
        matrices, values, offsets = self._chunks[chunk][name]
        modality = self.info.modality(name)
        if modality is None or not matrices[row].is_valid:
            return None
        return values[offsets[row] : offsets[row + 1]].reshape(-1, modality.size)
