"""What every extractor of hand-crafted features is, and which ones the settings ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mme2e.config import FeatureExtractionSettings
from mme2e.data.corpus import Corpus
from mme2e.data.feature_schema import ModalityFeatures


class Extractor(Protocol):
    """Makes the features of one modality, an utterance at a time. It is sent to worker processes before its first use.

    Attributes:
        columns: Columns of the corpus' rows that it reads.
        info: What its features are.
    """

    columns: tuple[str, ...]
    info: ModalityFeatures

    def sources(self) -> list[Path]:
        """Files of the user that the features depend on."""
        ...

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """The features of one utterance.

        Args:
            row: A row of the corpus (`mme2e.data.schema.ROW_SCHEMA`), at least `columns` of it.

        Returns:
            (steps, size) float32; None when the utterance lacks the modality.

        Raises:
            UserError: Something that it reads is damaged.
        """
        ...


def make_extractors(settings: FeatureExtractionSettings, corpus: Corpus) -> dict[str, Extractor]:
    """The extractors that the settings ask for, by "text", "acoustic" or "visual".

    Raises:
        UserError: A library is missing, or a file of the user cannot be used.
    """
    extractors: dict[str, Extractor] = {}
    if "t" in settings.modalities:
        extractors["text"] = _text(settings, corpus)
    if "a" in settings.modalities:
        extractors["acoustic"] = _acoustic(settings)
    if "v" in settings.modalities:
        extractors["visual"] = _visual(settings, corpus)
    return extractors


def _text(settings: FeatureExtractionSettings, corpus: Corpus) -> Extractor:
    if settings.glove is None:
        from mme2e.hand_crafted.hashed_words import HashedWords

        return HashedWords(settings.text_size)
    from mme2e.hand_crafted.glove import GloveWords
    from mme2e.hand_crafted.hashed_words import words_of

    texts = (text for split in corpus.splits for text in corpus.columns(split, ["text"])["text"].to_pylist())
    return GloveWords(Path(settings.glove), {word for text in texts if text for word in words_of(text)})


def _acoustic(settings: FeatureExtractionSettings) -> Extractor:
    if settings.acoustic == "librosa":
        from mme2e.hand_crafted.librosa_audio import LibrosaAudio

        return LibrosaAudio(settings.acoustic_window_ms)
    from mme2e.hand_crafted.opensmile_audio import OpenSmileAudio

    return OpenSmileAudio(settings.opensmile_set, settings.acoustic_window_ms)


def _visual(settings: FeatureExtractionSettings, corpus: Corpus) -> Extractor:
    if settings.openface is None:
        from mme2e.hand_crafted.face_shape import FaceShape

        return FaceShape()
    from mme2e.hand_crafted.openface import OpenFaceUnits

    return OpenFaceUnits(Path(settings.openface), settings.openface_window_ms, corpus)
