"""Making the hand-crafted features of a corpus: what is to do, doing it, putting the parts together.

Work goes part by part into `features/.parts/<key>`, where the key identifies settings, sources and corpus; so an
interrupted call goes on where it was, and other settings never meet old parts. When all are done they become the
files of `FeatureWriter`.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mme2e import console
from mme2e.config import FeatureExtractionSettings
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.feature_schema import FEATURES_FOLDER, MODALITY_NAMES, FeaturesInfo, ModalityFeatures, digest
from mme2e.data.feature_writer import FeatureWriter, writing_features
from mme2e.data.features import load_features
from mme2e.errors import UserError
from mme2e.hand_crafted.extractor import Extractor, make_extractors
from mme2e.hand_crafted.parts import Part, PartWorker, parts_of
from mme2e.hand_crafted.summary import FeaturesSummary
from mme2e.scheduling.job import Killed
from mme2e.scheduling.local import LocalEngine

PARTS_FOLDER = ".parts"


def extract_features(corpus: Path, settings: FeatureExtractionSettings) -> FeaturesSummary:
    """Does what `features` does."""
    started_s = monotonic()
    opened = load_corpus(corpus)
    extractors = make_extractors(settings, opened)
    key = _key(opened, extractors)
    made = _made_before(opened, key)
    done = 0
    if made is None:
        with writing_features(opened):
            made, done = _make(opened, extractors, key, settings.jobs)
    return FeaturesSummary(
        folder=opened.folder / FEATURES_FOLDER, info=made, done=done, elapsed_s=monotonic() - started_s
    )


def _make(corpus: Corpus, extractors: dict[str, Extractor], key: str, jobs: int) -> tuple[FeaturesInfo, int]:
    """The features, and of how many utterances they were made just now."""
    made = _made_before(corpus, key)  # by another process, since it was last looked for
    if made is not None:
        return made, 0
    folder = corpus.folder / FEATURES_FOLDER / PARTS_FOLDER / key
    parts = parts_of(corpus)
    _forget_others(folder)
    todo = [part for part in parts if not part.notes_file(folder).is_file()]
    _do(parts, todo, corpus, extractors, folder, jobs)
    info = _put_together(corpus, extractors, parts, folder, key)
    shutil.rmtree(folder.parent)
    return info, sum(part.stop - part.start for part in todo)


def _key(corpus: Corpus, extractors: dict[str, Extractor]) -> str:
    files = [path for extractor in extractors.values() for path in extractor.sources()]
    states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return digest([corpus.fingerprint, {name: asdict(each.info) for name, each in extractors.items()}, states])


def _made_before(corpus: Corpus, key: str) -> FeaturesInfo | None:
    """What is there already, if it is what is expected and whole."""
    try:
        features = load_features(corpus)
        if features.info.provenance.get("key") != key:
            return None
        for split in corpus.splits:
            features.split(split)
    except UserError:  # none, damaged, or of other utterances: made anew
        return None
    return features.info


def _forget_others(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)


def _do(
    parts: list[Part], todo: list[Part], corpus: Corpus, extractors: dict[str, Extractor], folder: Path, jobs: int
) -> None:
    sizes = {part: part.stop - part.start for part in parts}
    if min(jobs, len(todo)) > 1:
        for split in {part.split for part in todo}:
            corpus.split(split)  # unpacked once, before the workers all ask for it
    worker = PartWorker(corpus=corpus.folder, extractors=extractors, folder=folder)
    with (
        console.progress("utterances") as progress,
        closing(LocalEngine().run(worker, todo, jobs)) as done,
    ):
        total = sum(sizes.values())
        bar = progress.add_task(
            "hand-crafted features", total=total, completed=total - sum(sizes[part] for part in todo)
        )
        for part in done:
            if isinstance(part, Killed):
                raise UserError(
                    "a worker process was killed, twice (memory?); what was done is kept: call again, with fewer --jobs"
                )
            progress.advance(bar, sizes[part])


def _put_together(
    corpus: Corpus, extractors: dict[str, Extractor], parts: list[Part], folder: Path, key: str
) -> FeaturesInfo:
    infos = {name: extractor.info for name, extractor in extractors.items()}
    with FeatureWriter(corpus, **infos, provenance={"key": key}) as writer:
        found = 0
        for part in parts:
            for row in _rows(part, folder):
                matrices = {name: _matrix(row, name, info) for name, info in infos.items()}
                found += any(matrix is not None for matrix in matrices.values())
                writer.write(part.split, row["id"], **matrices)
            for note in part.notes(folder):
                writer.skip(note["item"], note["reason"])
        if not found:
            first = next((f"; {each['item']}: {each['reason']}" for part in parts for each in part.notes(folder)), "")
            raise UserError(f"no utterance of {corpus.folder} has features of {', '.join(infos)}{first}")
    assert writer.info is not None
    return writer.info


def _rows(part: Part, folder: Path) -> Iterator[dict[str, Any]]:
    try:
        table = pq.read_table(part.file(folder), page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{part.file(folder)} is damaged ({error}); delete {folder} and call again") from error
    for index, identity in enumerate(table["id"].to_pylist()):
        yield {"id": identity, **{name: table[name][index] for name in MODALITY_NAMES}}


def _matrix(row: dict[str, Any], name: str, info: ModalityFeatures) -> np.ndarray | None:
    value = row[name]
    return value.values.to_numpy().reshape(-1, info.size) if value.is_valid else None
