"""Settings of making hand-crafted features."""

from dataclasses import dataclass
from typing import Literal

from mme2e.config.checks import require, require_positive
from mme2e.config.model import MODALITIES


@dataclass(frozen=True, kw_only=True)
class FeatureExtractionSettings:
    """How `mme2e features` makes hand-crafted features."""

    modalities: str = MODALITIES
    """Any subset of t (text), a (acoustic), v (visual)."""

    acoustic: Literal["librosa", "opensmile"] = "librosa"
    """librosa: MFCC, pitch classes, pitch, energy, shape of the spectrum; opensmile: low-level descriptors."""

    opensmile_set: Literal["egemaps", "compare"] = "egemaps"
    """opensmile: eGeMAPSv02 (25 descriptors) or ComParE 2016 (65)."""

    acoustic_window_ms: int = 100
    """Frames of 10 ms are averaged over windows of so many ms; 10 keeps all of them."""

    glove: str | None = None
    """Text file of word vectors (GloVe); without it the character n-grams of each word are hashed."""

    text_size: int = 300
    """Numbers a word, of hashed n-grams; a GloVe file has its own."""

    openface: str | None = None
    """Folder with OpenFace's UTTERANCE.csv or RECORDING.csv, whose action units are the visual features; without it
    they are landmarks, geometry and texture of the corpus' face crops."""

    openface_window_ms: int = 500
    """OpenFace: rows are averaged over windows of so many ms."""

    jobs: int = 1
    """Worker processes."""

    def __post_init__(self) -> None:
        given = self.modalities
        require(
            0 < len(given) == len(set(given)) and set(given) <= set(MODALITIES),
            f"modalities must be some of the letters t, a, v, each once, not '{given}'",
        )
        require(
            self.acoustic_window_ms >= 10 and self.acoustic_window_ms % 10 == 0,
            f"acoustic_window_ms must be a multiple of 10, not {self.acoustic_window_ms}",
        )
        require_positive(self, "", "text_size", "openface_window_ms", "jobs")
        for letter, option in (("t", "glove"), ("v", "openface")):
            require(
                getattr(self, option) is None or letter in given,
                f"{option} '{getattr(self, option)}' requires modality {letter}, but modalities are '{given}'",
            )
