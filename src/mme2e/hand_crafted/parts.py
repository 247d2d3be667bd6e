"""The pieces of work: some utterances of a split become one file, which appears whole or not at all."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.atomic import write_text
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.feature_writer import FeatureFile
from mme2e.hand_crafted.extractor import Extractor

PART_UTTERANCES = 32
"""So few that a kill costs seconds, so many that two small files each do not matter."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Utterances `start` to `stop` of a split, in the order of the corpus."""

    split: str
    start: int
    stop: int

    def file(self, folder: Path) -> Path:
        """Its rows."""
        return folder / f"{self.split}-{self.start:07d}.parquet"

    def notes_file(self, folder: Path) -> Path:
        """What could not be read of it; written last, so that its presence means that the part is done."""
        return self.file(folder).with_suffix(".json")

    def notes(self, folder: Path) -> list[dict[str, str]]:
        """{"item", "reason"} of what could not be read."""
        return json.loads(self.notes_file(folder).read_text(encoding="utf-8"))


def parts_of(corpus: Corpus) -> list[Part]:
    """The whole corpus in parts."""
    sizes = {split: corpus.columns(split, ["id"]).num_rows for split in corpus.splits}
    return [
        Part(split=split, start=start, stop=min(start + PART_UTTERANCES, size))
        for split, size in sizes.items()
        for start in range(0, size, PART_UTTERANCES)
    ]


@dataclass(frozen=True, kw_only=True)
class PartWorker:
    """Makes the features of parts, in whatever process; a job of `mme2e.scheduling`.

    Attributes:
        corpus: Folder of the corpus.
        extractors: By modality.
        folder: Where parts are written.
    """

    corpus: Path
    extractors: dict[str, Extractor]
    folder: Path

    @property
    def preload(self) -> tuple[str, ...]:
        """What every worker imports."""
        return (__name__,)

    def start(self, stopped: Callable[[], bool] | None) -> Callable[[Part], Part]:
        """Opens the corpus; see `mme2e.scheduling.job.Job`."""
        if stopped is not None and "visual" in self.extractors:  # each worker has one core
            import torch

            torch.set_num_threads(1)
        corpus = load_corpus(self.corpus)
        return lambda part: do_part(part, corpus, self.extractors, self.folder)


def do_part(part: Part, corpus: Corpus, extractors: dict[str, Extractor], folder: Path) -> Part:
    """Makes the features of one part; an utterance that cannot be read is noted, and lacks the modality."""
    columns = {"id", *(column for extractor in extractors.values() for column in extractor.columns)}
    rows = corpus.split(part.split).select_columns(sorted(columns))
    notes: list[dict[str, str]] = []
    file = FeatureFile(part.file(folder))
    try:
        for index in range(part.start, part.stop):
            row = rows[index]
            matrices = {}
            for name, extractor in extractors.items():
                matrix = _attempt(name, extractor, row, notes)
                if matrix is not None and len(matrix):
                    matrices[name] = matrix
            file.add_utterance(row["id"], matrices)
        file.finish()
    finally:
        file.discard()
    write_text(part.notes_file(folder), json.dumps(notes))
    return part


def _attempt(name: str, extractor: Extractor, row: dict[str, Any], notes: list[dict[str, str]]) -> np.ndarray | None:
    try:
        return extractor.extract(row)
    except Exception as error:  # one odd utterance must not end the work on thousands
        reason = f"{name}: " + " ".join(f"{type(error).__name__}: {error}".split())
        _LOGGER.debug("utterance %s failed", row["id"], exc_info=error)
        notes.append({"item": row["id"], "reason": reason})
        return None
