"""Prepared corpora: their schema, reading them, and batches for the models."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.data.augment import augment_mel
    from mme2e.data.batch import Batch
    from mme2e.data.collation import collate
    from mme2e.data.corpus import Corpus, load_corpus
    from mme2e.data.dataset import UtteranceDataset, UtteranceItem
    from mme2e.data.feature_schema import FeaturesInfo, ModalityFeatures
    from mme2e.data.feature_writer import FeatureWriter
    from mme2e.data.features import Features, load_features
    from mme2e.data.loader import make_dataloader
    from mme2e.data.sampler import LengthBatchSampler
    from mme2e.data.schema import CorpusInfo, FaceFlag

__all__ = [
    "Batch",
    "Corpus",
    "CorpusInfo",
    "FaceFlag",
    "FeatureWriter",
    "Features",
    "FeaturesInfo",
    "LengthBatchSampler",
    "ModalityFeatures",
    "UtteranceDataset",
    "UtteranceItem",
    "augment_mel",
    "collate",
    "load_corpus",
    "load_features",
    "make_dataloader",
]

_HOMES = {
    "Batch": "batch",
    "Corpus": "corpus",
    "CorpusInfo": "schema",
    "FaceFlag": "schema",
    "FeatureWriter": "feature_writer",
    "Features": "features",
    "FeaturesInfo": "feature_schema",
    "LengthBatchSampler": "sampler",
    "ModalityFeatures": "feature_schema",
    "UtteranceDataset": "dataset",
    "UtteranceItem": "dataset",
    "augment_mel": "augment",
    "collate": "collation",
    "load_corpus": "corpus",
    "load_features": "features",
    "make_dataloader": "loader",
}


def __getattr__(name: str) -> object:
    # Lazy, so that the workers of `prepare`, which need the schema only, do without torch and datasets.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
