"""Settings of augmentation: what is done to training data only."""

from dataclasses import dataclass, field

from mme2e.config.checks import require


@dataclass(frozen=True, kw_only=True)
class FaceAugmentSettings:
    """What cameras, light and networks do to faces; all faces of an utterance are changed alike."""

    rotation_deg: float = 0.0
    """Largest rotation to either side, in degrees."""

    scale: float = 0.0
    """Largest relative change of the size of the face within its crop."""

    contrast: float = 0.0
    """Largest relative change of contrast."""

    gamma: float = 0.0
    """Largest relative change of gamma: the exponent is between 1 / (1 + gamma) and 1 + gamma."""

    grey: float = 0.0
    """Probability of losing all colour."""

    occlusion: float = 0.0
    """Probability of hiding a rectangle, of up to a third of the crop's side each way, behind a random grey."""

    blur: float = 0.0
    """Probability of a Gaussian blur with a sigma of 0.3 to 1.5 pixels."""

    low_resolution: float = 0.0
    """Probability of shrinking a crop to a third to two thirds of its side (16 to 32 pixels), and back."""

    jpeg: float = 0.0
    """Probability of JPEG compression with a quality of 15 to 60."""

    def __post_init__(self) -> None:
        _require_range(self, "augment.faces.", 0, 1, "contrast", "grey", "occlusion", "blur", "low_resolution", "jpeg")
        _require_range(self, "augment.faces.", 0, 180, "rotation_deg")
        _require_range(self, "augment.faces.", 0, 0.5, "scale")
        _require_range(self, "augment.faces.", 0, 10, "gamma")


@dataclass(frozen=True, kw_only=True)
class AudioAugmentSettings:
    """What rooms, microphones and telephones do to the waveform, before the mel spectrogram is made."""

    time_shift_s: float = 0.0
    """Longest piece that is cut off the start, in seconds; never more than half of the audio."""

    speed: float = 0.0
    """Largest relative change of speed, which changes pitch and length too."""

    room: float = 0.0
    """Probability of a room: an echo that decays by 60 dB within 0.1 to 0.6 s."""

    noise: float = 0.0
    """Probability of white, pink or brown noise, 5 to 30 dB below the audio."""

    gain_db: float = 0.0
    """Largest change of loudness to either side, in dB."""

    clipping: float = 0.0
    """Probability of clipping at a fifth to three fifths of the peak, as an overdriven microphone does."""

    telephone: float = 0.0
    """Probability of the band of a telephone, 300 to 3400 Hz."""

    codec: float = 0.0
    """Probability of a coarse codec: 8 bits by the mu-law, 8 to 12 bits, a sample rate of 8 kHz, or two of them."""

    def __post_init__(self) -> None:
        _require_range(self, "augment.audio.", 0, 1, "room", "noise", "clipping", "telephone", "codec")
        _require_range(self, "augment.audio.", 0, 0.5, "speed")
        _require_range(self, "augment.audio.", 0, 60, "gain_db", "time_shift_s")


@dataclass(frozen=True, kw_only=True)
class TextAugmentSettings:
    """What speech recognisers do to text."""

    lower_case: float = 0.0
    """Probability of writing a text in lower case."""

    no_punctuation: float = 0.0
    """Probability of leaving out a text's punctuation; apostrophes, points and the like within a word or a number
    stay, and so does a text that is nothing but punctuation."""

    word_deletion: float = 0.0
    """Probability of leaving out a word; one always stays."""

    def __post_init__(self) -> None:
        _require_range(self, "augment.text.", 0, 1, "lower_case", "no_punctuation", "word_deletion")


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Augmentation of training data; everything is off in the reference configuration."""

    crop_jitter_px: int = 0
    """Largest shift of a face crop, in pixels; one shift for a whole utterance."""

    flip: float = 0.0
    """Probability of mirroring all faces of an utterance."""

    brightness: float = 0.0
    """Largest relative change of brightness of an utterance's faces."""

    faces: FaceAugmentSettings = field(default_factory=FaceAugmentSettings)

    audio: AudioAugmentSettings = field(default_factory=AudioAugmentSettings)

    time_masks: int = 0
    """SpecAugment: time masks per mel chunk."""

    time_mask_columns: int = 8
    """SpecAugment: widest time mask, in columns of 12.5 ms."""

    frequency_masks: int = 0
    """SpecAugment: frequency masks per utterance."""

    frequency_mask_mels: int = 16
    """SpecAugment: widest frequency mask, in mel bands."""

    text: TextAugmentSettings = field(default_factory=TextAugmentSettings)

    word_dropout: float = 0.0
    """Probability of replacing a word by the tokenizer's unknown token."""

    def __post_init__(self) -> None:
        _require_range(self, "augment.", 0, 1, "flip", "brightness", "word_dropout")
        for name in (
            "crop_jitter_px",
            "time_masks",
            "time_mask_columns",
            "frequency_masks",
            "frequency_mask_mels",
        ):
            value = getattr(self, name)
            require(value >= 0, f"augment.{name} must not be negative, not {value}")


def _require_range(settings: object, prefix: str, lowest: float, highest: float, *names: str) -> None:
    """Refuses a field outside [lowest, highest]."""
    for name in names:
        value = getattr(settings, name)
        require(lowest <= value <= highest, f"{prefix}{name} must be in [{lowest}, {highest}], not {value}")
