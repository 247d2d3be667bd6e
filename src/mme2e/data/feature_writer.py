"""Writing the hand-crafted features of a prepared corpus."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import numpy as np

from mme2e.data.corpus import Corpus
from mme2e.data.feature_schema import (
    FEATURE_SCHEMA,
    FEATURES_FILE,
    FEATURES_FOLDER,
    MODALITY_NAMES,
    FeaturesInfo,
    ModalityFeatures,
)
from mme2e.data.rows import RowFile
from mme2e.errors import UserError
from mme2e.locking import locked

ROW_GROUP_BYTES = 8 << 20
"""Matrices gathered before they are written: so much memory a split is used."""


LOCK_FILE = ".lock"
"""In the folder of the features; it holds nothing and stays."""


@contextmanager
def writing_features(corpus: Corpus) -> Iterator[None]:
    """Within the `with` block nobody else may write the features of a prepared corpus.

    Raises:
        UserError: Somebody does already, or the corpus cannot be written to.
    """
    folder = corpus.folder / FEATURES_FOLDER
    taken = f"the features of {corpus.folder} are being made already: wait for the end of the other 'mme2e features'"
    with ExitStack() as lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.enter_context(locked(folder / LOCK_FILE, taken))
        except OSError as error:
            raise UserError(f"cannot write to {folder} ({error.strerror}), where features are kept") from error
        yield


class FeatureWriter:
    """Writes `features/` of a prepared corpus; what was there is replaced when the `with` block ends well.

    Only within `writing_features`, where another process could write them, too.

    Rows may come in any order. Utterances that are never written, or written without a modality, lack it. Values that
    are not finite become 0 and are counted in `FeaturesInfo.non_finite`. ::

        with FeatureWriter(load_corpus(folder), text=ModalityFeatures(kind="glove", ...)) as writer:
            writer.write("train", "Ses01F_impro01_F000", text=matrix)
        print(writer.info)

    Args:
        corpus: The corpus; its utterances are those that may be written.
        text, acoustic, visual: What the features of each modality are; None: there are none.
        provenance: Notes for `FeaturesInfo.provenance`, beside this package's version.

    Attributes:
        info: What was written; None until the `with` block has ended.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        text: ModalityFeatures | None = None,
        acoustic: ModalityFeatures | None = None,
        visual: ModalityFeatures | None = None,
        provenance: Mapping[str, object] | None = None,
    ) -> None:
        self._provenance = {"mme2e": version("mme2e"), **(provenance or {})}
        self._corpus = corpus
        self._modalities = {"text": text, "acoustic": acoustic, "visual": visual}
        self._folder = corpus.folder / FEATURES_FOLDER
        self._waiting = {name: set(corpus.columns(name, ["id"])["id"].to_pylist()) for name in corpus.splits}
        self._tables: dict[str, FeatureFile] = {}
        self._moments = {name: _Moments(each.size) for name, each in self._modalities.items() if each is not None}
        self._counts: dict[str, dict[str, int]] = {name: dict.fromkeys(MODALITY_NAMES, 0) for name in corpus.splits}
        self._non_finite: dict[str, int] = defaultdict(int)
        self._skipped: list[dict[str, str]] = []
        self.info: FeaturesInfo | None = None

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.info = self._finish()
        finally:
            for table in self._tables.values():
                table.discard()

    def write(
        self,
        split: str,
        identity: str,
        *,
        text: np.ndarray | None = None,
        acoustic: np.ndarray | None = None,
        visual: np.ndarray | None = None,
    ) -> None:
        """Adds one utterance.

        Args:
            split: Its split in the corpus.
            identity: Its id.
            text: (words, size), or None without text. A matrix of no rows counts as None.
            acoustic: (steps, size), or None without audio.
            visual: (steps, size), or None without video.

        Raises:
            ValueError: The corpus has no such utterance in the split, it was written before, or a matrix does not fit
                the size that was announced.
        """
        if identity not in self._waiting.get(split, ()):
            raise ValueError(f"'{identity}' is written twice, or is no utterance of split '{split}'")
        matrices = {
            name: self._checked(name, matrix)
            for name, matrix in (("text", text), ("acoustic", acoustic), ("visual", visual))
            if matrix is not None and len(matrix)
        }
        self._waiting[split].remove(identity)
        for name, matrix in matrices.items():
            self._counts[split][name] += 1
            if split == "train":
                self._moments[name].add(matrix)
        if split not in self._tables:
            self._tables[split] = FeatureFile(self._folder / f"{split}.parquet")
        self._tables[split].add_utterance(identity, matrices)

    def skip(self, item: str, reason: str) -> None:
        """Notes an utterance of which something could not be read, for `FeaturesInfo.skipped`."""
        self._skipped.append({"item": item, "reason": reason})

    def _checked(self, name: str, matrix: np.ndarray) -> np.ndarray:
        announced = self._modalities[name]
        size = None if announced is None else announced.size
        if matrix.ndim != 2 or matrix.shape[1] != size:
            raise ValueError(f"{name} features of shape {matrix.shape}; announced were (steps, {size})")
        with np.errstate(over="ignore"):  # what float32 cannot hold is not finite
            matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        bad = ~np.isfinite(matrix)
        if bad.any():
            self._non_finite[name] += int(bad.sum())
            matrix = np.where(bad, np.float32(0), matrix)
        return matrix

    def _finish(self) -> FeaturesInfo:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / FEATURES_FILE).unlink(missing_ok=True)  # while files change, there are no features
        files = {f"{split}.parquet": table.finish() for split, table in sorted(self._tables.items())}
        for old in self._folder.iterdir():
            if old.suffix in (".parquet", ".tmp") and old.name not in files:  # .tmp: of a call that was killed
                old.unlink()
        known = {name: each and self._moments[name].put_into(each) for name, each in self._modalities.items()}
        return FeaturesInfo(
            corpus=self._corpus.utterances_fingerprint,
            text=known["text"],
            acoustic=known["acoustic"],
            visual=known["visual"],
            counts=self._counts,
            non_finite=dict(self._non_finite),
            skipped=tuple(self._skipped),
            provenance=self._provenance,
        ).write(self._folder, files)


class FeatureFile(RowFile):
    """A file of the features of many utterances (see `FEATURE_SCHEMA`).

    Args:
        path: The file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, FEATURE_SCHEMA, group_bytes=ROW_GROUP_BYTES, compression="zstd")

    def add_utterance(self, identity: str, matrices: dict[str, np.ndarray]) -> None:
        """Adds the matrices (steps, size) float32 of one utterance, by modality."""
        row: dict[str, object] = {"id": identity}
        for name in MODALITY_NAMES:
            matrix = matrices.get(name)
            row[name] = None if matrix is None else matrix.ravel()
            row[f"{name}_steps"] = 0 if matrix is None else len(matrix)
        self.add(row, sum(matrix.nbytes for matrix in matrices.values()))


class _Moments:
    """Mean and standard deviation of columns, gathered matrix by matrix (Chan et al. 1979)."""

    def __init__(self, size: int) -> None:
        self._count = 0
        self._mean = np.zeros(size)
        self._squares = np.zeros(size)  # summed squared deviations from the mean

    def add(self, matrix: np.ndarray) -> None:
        values = matrix.astype(np.float64)
        count = len(values)
        mean = values.mean(0)
        shift = mean - self._mean
        total = self._count + count
        self._squares += ((values - mean) ** 2).sum(0) + shift**2 * self._count * count / total
        self._mean += shift * count / total
        self._count = total

    def put_into(self, modality: ModalityFeatures) -> ModalityFeatures:
        if not self._count:
            return replace(modality, mean=(), std=())
        std = np.sqrt(self._squares / self._count)
        std[std < 1e-6 * np.maximum(1, np.abs(self._mean))] = 1  # a constant column, but for rounding
        return replace(modality, mean=tuple(self._mean.tolist()), std=tuple(std.tolist()))
