"""Hand-crafted features for a tiny corpus, whose every modality tells the emotion."""

from pathlib import Path

import numpy as np

from mme2e.data.corpus import load_corpus
from mme2e.data.feature_schema import ModalityFeatures
from mme2e.data.feature_writer import FeatureWriter

SIZES = {"text": 8, "acoustic": 6, "visual": 5}


def write_tiny_features(
    folder: Path, sizes: dict[str, int] | None = None, lacks: dict[str, set[str]] | None = None
) -> Path:
    """Writes `features/` into a prepared corpus: noise around one pattern an emotion, on a scale of 100 around 1000.

    Args:
        folder: What `write_tiny_corpus` wrote.
        sizes: Columns of each modality that there shall be.
        lacks: Ids of the utterances without a modality, by its name.

    Returns:
        The folder.
    """
    sizes, lacks = SIZES if sizes is None else sizes, lacks or {}
    generator = np.random.default_rng(0)
    corpus = load_corpus(folder)
    names = corpus.info.label_names
    patterns = {name: generator.normal(0, 3, (len(names), size)) for name, size in sizes.items()}
    kinds = {name: ModalityFeatures(kind="tiny", version="1", size=size, settings={}) for name, size in sizes.items()}
    with FeatureWriter(corpus, **kinds) as writer:
        for split in corpus.splits:
            rows = corpus.split(split)
            for identity, labels in zip(rows["id"], rows["labels"], strict=True):
                matrices = {}
                for name, size in sizes.items():
                    if identity in lacks.get(name, ()):
                        continue
                    signal = sum((patterns[name][names.index(label)] for label in labels), np.zeros(size))
                    steps = generator.normal(0, 1, (int(generator.integers(1, 6)), size))
                    matrices[name] = 1000 + 100 * (steps + signal)
                writer.write(split, identity, **matrices)
    return folder
