"""Settings of what the towers see of faces and audio."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FaceInputSettings:
    """What the visual tower sees of a face crop."""

    colour: Literal["rgb", "grey"] = "rgb"
    """grey: brightness alone, so that a model of grey photographs sees colour video alike."""

    normalise: Literal["fixed", "crop"] = "fixed"
    """fixed: the same mean and deviation are taken from every crop (rgb: the reference's); crop: each crop's own, so
    that light and contrast of a camera matter less."""


@dataclass(frozen=True, kw_only=True)
class AudioInputSettings:
    """What the acoustic tower sees of the mel spectrogram."""

    scale: Literal["power", "log"] = "power"
    """power, as in the reference; log: its natural logarithm, in which quiet speech is not lost."""

    normalise: Literal["none", "utterance", "recording"] = "none"
    """Whose mean and deviation of each mel band are taken from it, for scale log: none; the utterance's; those of the
    speaker, where the corpus knows speakers, else of the whole recording."""
