"""The reference's own hand-crafted features, put into a prepared corpus for the baselines."""

from pathlib import Path

import numpy as np

from mme2e.data.corpus import load_corpus
from mme2e.data.feature_schema import MODALITY_NAMES, FeaturesInfo, ModalityFeatures
from mme2e.data.feature_writer import FeatureWriter, writing_features
from mme2e.data.features import load_features
from mme2e.errors import UserError
from mme2e.reference.features import ReferenceFeatures, features_folder, read_reference_features
from mme2e.reference.layout import ReferenceCorpus

SOURCE = "Dai et al. 2021"


def copy_reference_features(datapath: Path, prepared: Path, *, corpus: ReferenceCorpus) -> str:
    """Copies the features, where the archive has them and the corpus does not, and says in a line what was done.

    Raises:
        UserError: As `write_reference_features`.
    """
    folder = features_folder(datapath, corpus)
    if not folder.is_dir():
        return f"hand-crafted features: none, there is no {folder.name}"
    if _has_features(prepared):
        return "hand-crafted features: there already"
    info = write_reference_features(datapath, prepared, corpus=corpus)
    with_text = sum(counts["text"] for counts in info.counts.values())
    sizes = {name: info.modality(name) for name in MODALITY_NAMES}
    sizes_found = ", ".join(f"{name} {modality.size}" for name, modality in sizes.items() if modality is not None)
    left_out = f"; {len(info.skipped)} items left out, see features.json" if info.skipped else ""
    return f"hand-crafted features: of {with_text} utterances from {folder.name}, sizes {sizes_found}{left_out}"


def _has_features(prepared: Path) -> bool:
    """Whether there are features of the utterances that the corpus has now."""
    try:
        load_features(prepared)
    except UserError:
        return False
    return True


def write_reference_features(datapath: Path, prepared: Path, *, corpus: ReferenceCorpus) -> FeaturesInfo:
    """Copies the features of the utterances that a prepared corpus has into its folder `features`.

    Args:
        datapath: The reference's data path.
        prepared: Prepared corpus.
        corpus: "iemocap" or "mosei".

    Returns:
        What was written; its `skipped` names files that are missing and utterances that cannot be used.

    Raises:
        UserError: The features cannot be read, or the prepared corpus cannot; or another process makes features of it.
    """
    opened = load_corpus(prepared)
    split_of = {id_: split for split in opened.splits for id_ in opened.split(split)["id"]}
    sizes = _sizes(datapath, corpus)
    kinds = {
        name: ModalityFeatures(kind="reference", version=SOURCE, size=size, settings={}) for name, size in sizes.items()
    }
    with (
        writing_features(opened),
        FeatureWriter(
            opened, text=kinds.get("text"), acoustic=kinds.get("acoustic"), visual=kinds.get("visual")
        ) as writer,
    ):
        for found in read_reference_features(datapath, corpus=corpus):
            if not isinstance(found, ReferenceFeatures):
                writer.skip(found.item, found.reason)
            elif found.id in split_of:
                matrices = _matrices(found)
                wrong = [name for name, matrix in matrices.items() if matrix.shape[1] != sizes[name]]
                for name in wrong:
                    matrix = matrices.pop(name)
                    writer.skip(found.id, f"{matrix.shape[1]} {name} features, others have {sizes[name]}")
                writer.write(split_of.pop(found.id), found.id, **matrices)
    assert writer.info is not None
    return writer.info


def _sizes(datapath: Path, corpus: ReferenceCorpus) -> dict[str, int]:
    """Columns of each modality, by the first utterance that has it."""
    sizes: dict[str, int] = {}
    for found in read_reference_features(datapath, corpus=corpus):
        if isinstance(found, ReferenceFeatures):
            sizes = {name: matrix.shape[1] for name, matrix in _matrices(found).items()} | sizes
        if len(sizes) == 3:
            break
    return sizes


def _matrices(found: ReferenceFeatures) -> dict[str, np.ndarray]:
    every = {"text": found.text, "acoustic": found.acoustic, "visual": found.visual}
    return {name: matrix for name, matrix in every.items() if matrix is not None}
