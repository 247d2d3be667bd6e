"""Settings: frozen dataclasses whose fields are the command line's options and the YAML keys.

Nothing heavy is imported here, so that `mme2e VERB --help` answers at once. A contradiction is refused in
`__post_init__`, naming the option.
"""

from dataclasses import dataclass, field
from typing import Literal

from mme2e.errors import UserError

MODALITIES = "tav"
"""Text, acoustic, visual: the letters of `--modalities`, in the reference's spelling."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _require_positive(settings: object, prefix: str, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        _require(value >= 1, f"{prefix}{name} must be at least 1, not {value}")


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """How faces are found."""

    mode: Literal["fast", "reference"] = "fast"
    """`fast`: coarser pyramid, batches and tracking; `reference`: the settings of facenet-pytorch, frame by frame."""

    margin: int = 2
    """Margin around the face: the box grows in total by margin * side / (48 - margin) each way."""

    def __post_init__(self) -> None:
        _require(0 <= self.margin < 48, f"face.margin must be in [0, 48), not {self.margin}")


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What `mme2e sample` writes."""

    layout: Literal["iemocap", "mosei"] = "iemocap"
    """Raw layout of the real corpus to imitate."""

    utterances: int = 240
    """Number of utterances in all."""

    seed: int = 0
    """Same seed, same corpus."""

    def __post_init__(self) -> None:
        _require(self.utterances >= 1, f"utterances must be at least 1, not {self.utterances}")


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Which utterances are for training, validation and test."""

    protocol: Literal["auto", "lists", "session", "recording"] = "auto"
    """`lists`: published id lists; `session`: IEMOCAP, leave one session out; `recording`: random by recording.
    `auto`: lists when `lists` is given, else session where the corpus has enough sessions, else recording."""

    lists: str | None = None
    """Folder with train_split.txt, valid_split.txt and test_split.txt."""

    fold: int = 5
    """Test session of the `session` protocol (1 to 5); the session before it validates."""

    seed: int = 0
    """Seed of the `recording` protocol."""

    def __post_init__(self) -> None:
        _require(1 <= self.fold <= 5, f"split.fold must be in 1..5, not {self.fold}")
        _require(
            self.protocol != "lists" or self.lists is not None,
            "split.protocol lists wants --split.lists FOLDER",
        )


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """How a raw corpus becomes a prepared one."""

    frame_interval_ms: int = 500
    """Time between two sampled video frames, in milliseconds."""

    jobs: int = 1
    """Worker processes."""

    face: FaceSettings = field(default_factory=FaceSettings)
    split: SplitSettings = field(default_factory=SplitSettings)

    def __post_init__(self) -> None:
        _require(self.frame_interval_ms >= 1, f"frame_interval_ms must be at least 1, not {self.frame_interval_ms}")
        _require(self.jobs >= 1, f"jobs must be at least 1, not {self.jobs}")


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """The text encoder."""

    model: str = "albert/albert-base-v2"
    """Hugging Face name or folder; `scratch` trains a tokenizer and a small encoder on the corpus itself, offline."""

    max_length: int = 100
    """Longest text in tokens; batches are padded to their own longest."""

    vocab_size: int = 1000
    """Vocabulary of `scratch`."""

    hidden_dim: int = 128
    """Width of `scratch`."""

    num_layers: int = 2
    """Layers of `scratch`."""

    num_heads: int = 4
    """Attention heads of `scratch`."""

    def __post_init__(self) -> None:
        _require_positive(self, "model.text.", "vocab_size", "hidden_dim", "num_layers", "num_heads")
        _require(self.max_length >= 3, f"model.text.max_length must be at least 3, not {self.max_length}")
        _require(
            self.hidden_dim % self.num_heads == 0,
            f"model.text.hidden_dim {self.hidden_dim} is not a multiple of model.text.num_heads {self.num_heads}",
        )


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The network; the defaults are the paper's."""

    name: Literal["fe2e", "mesm"] = "fe2e"
    """Model: fe2e (dense) or mesm (sparse, with the reference's untrained attention)."""

    modalities: str = MODALITIES
    """Any subset of t (text), a (acoustic), v (visual)."""

    text: TextSettings = field(default_factory=TextSettings)

    tower_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of the low level and of the three stages of the face and sound towers."""

    top_p: float = 0.5
    """MESM: share of the attention that each stage of the towers keeps."""

    tower_dim: int = 1024
    """Hidden width of the linear layers that end a tower."""

    trans_dim: int = 64
    """Width of the sequence encoder over frames and chunks."""

    num_layers: int = 4
    """Layers of the sequence encoder."""

    num_heads: int = 4
    """Attention heads of the sequence encoder."""

    feedforward_dim: int = 2048
    """Feed-forward width of the sequence encoder."""

    dropout: float = 0.1
    """Dropout of the sequence encoder."""

    def __post_init__(self) -> None:
        given = self.modalities
        _require(
            0 < len(given) == len(set(given)) and set(given) <= set(MODALITIES),
            f"model.modalities must be some of the letters t, a, v, each once, not '{given}'",
        )
        _require_positive(self, "model.", "tower_dim", "trans_dim", "num_layers", "num_heads", "feedforward_dim")
        _require(
            self.trans_dim % self.num_heads == 0,
            f"model.trans_dim {self.trans_dim} is not a multiple of model.num_heads {self.num_heads}",
        )
        _require(0 < self.top_p <= 1, f"model.top_p must be in (0, 1], not {self.top_p}")
        _require(
            self.name != "mesm" or ("t" in given and len(given) > 1),
            f"model.name mesm selects by words: model.modalities must hold t and a or v, not '{given}'",
        )
        _require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), not {self.dropout}")
        _require(min(self.tower_channels) >= 1, f"model.tower_channels must be positive, not {self.tower_channels}")


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Augmentation of training data; everything is off in the reference configuration."""

    crop_jitter_px: int = 0
    """Largest shift of a face crop, in pixels; one shift for a whole utterance."""

    flip: float = 0.0
    """Probability of mirroring all faces of an utterance."""

    brightness: float = 0.0
    """Largest relative change of brightness of an utterance's faces."""

    time_masks: int = 0
    """SpecAugment: time masks per mel chunk."""

    time_mask_columns: int = 8
    """SpecAugment: widest time mask, in columns of 12.5 ms."""

    frequency_masks: int = 0
    """SpecAugment: frequency masks per utterance."""

    frequency_mask_mels: int = 16
    """SpecAugment: widest frequency mask, in mel bands."""

    word_dropout: float = 0.0
    """Probability of replacing a word by the tokenizer's unknown token."""

    def __post_init__(self) -> None:
        for name in ("flip", "brightness", "word_dropout"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"augment.{name} must be in [0, 1], not {value}")
        for name in (
            "crop_jitter_px",
            "time_masks",
            "time_mask_columns",
            "frequency_masks",
            "frequency_mask_mels",
        ):
            value = getattr(self, name)
            _require(value >= 0, f"augment.{name} must not be negative, not {value}")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a model is trained; the defaults are the reference's."""

    model: ModelSettings = field(default_factory=ModelSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    epochs: int = 40
    """Most epochs."""

    batch_size: int = 8
    """Utterances a step."""

    accumulate: int = 1
    """Steps whose gradients are added before the weights move."""

    learning_rate: float = 5e-5
    """Learning rate of everything but the text encoder."""

    text_lr_factor: float = 10.0
    """The text encoder and its head learn at learning_rate / text_lr_factor."""

    weight_decay: float = 0.0
    """Weight decay of Adam."""

    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""

    scheduler: Literal["none", "cosine"] = "none"
    """`cosine`: the learning rate falls to zero over all epochs."""

    warmup_epochs: float = 0.0
    """Epochs over which the cosine schedule first rises from zero."""

    loss: Literal["bce", "ce"] = "bce"
    """bce: one decision per emotion; ce: one emotion per utterance (single-label corpora only)."""

    pos_weight: bool = True
    """Weigh the positives of each emotion by negatives / positives of the training split (bce)."""

    early_stop: int = 6
    """Epochs without a better validation macro F1 before training stops; 0 never stops early."""

    seed: int = 0
    """Seed of weights, order, augmentation and dropout."""

    precision: Literal["32", "bf16", "16"] = "32"
    """Arithmetic of the forward pass; bf16 and 16 are automatic mixed precision."""

    num_workers: int = 1
    """Processes that read data beside training; 0 reads in the training process."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train."""

    devices: int = 1
    """Number of devices (data parallel)."""

    def __post_init__(self) -> None:
        _require_positive(self, "", "epochs", "batch_size", "accumulate", "devices")
        for name in ("learning_rate", "text_lr_factor"):
            value = getattr(self, name)
            _require(value > 0, f"{name} must be positive, not {value}")
        _require(
            self.scheduler == "cosine" or self.warmup_epochs == 0,
            f"warmup_epochs {self.warmup_epochs} wants --scheduler cosine",
        )
        _require(
            self.warmup_epochs <= self.epochs,
            f"warmup_epochs {self.warmup_epochs} is more than epochs {self.epochs}",
        )
        for name in ("weight_decay", "gradient_clip", "warmup_epochs", "early_stop", "num_workers"):
            value = getattr(self, name)
            _require(value >= 0, f"{name} must not be negative, not {value}")
