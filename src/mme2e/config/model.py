"""Settings of the networks."""

from dataclasses import dataclass, field
from typing import Literal

from mme2e.config.baseline import FeatureSettings, RnnSettings
from mme2e.config.checks import require, require_positive
from mme2e.config.signals import AudioInputSettings, FaceInputSettings

MODALITIES = "tav"
"""Text, acoustic, visual: the letters of `--modalities`, in the reference's spelling."""

MODALITY_NAMES = {"t": "text", "a": "audio", "v": "video"}
"""What people call them."""

AttentionMode = Literal["importance", "gate", "straight_through", "frozen"]
"""Ways in which MESM's attention learns, see `AttentionSettings`."""


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """The text encoder."""

    model: str = "albert/albert-base-v2"
    """Hugging Face name or folder; `scratch` trains a tokenizer and a small encoder on the corpus itself, offline."""

    max_length: int = 100
    """Longest text in tokens; batches are padded to their own longest."""

    pooling: Literal["first", "mean"] = "first"
    """What a text's vector is of the vectors of its tokens: first: that of the first one, [CLS], as in the reference;
    mean: their mean."""

    vocab_size: int = 1000
    """Vocabulary of `scratch`."""

    hidden_dim: int = 128
    """Width of `scratch`; also that of the query of a mesm without t among its modalities."""

    num_layers: int = 2
    """Layers of `scratch`."""

    num_heads: int = 4
    """Attention heads of `scratch`."""

    def __post_init__(self) -> None:
        require_positive(self, "model.text.", "vocab_size", "hidden_dim", "num_layers", "num_heads")
        require(self.max_length >= 3, f"model.text.max_length must be at least 3, not {self.max_length}")
        require(
            self.hidden_dim % self.num_heads == 0,
            f"model.text.hidden_dim {self.hidden_dim} is not a multiple of model.text.num_heads {self.num_heads}",
        )


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """MESM: how the attention that selects sites learns."""

    mode: AttentionMode = "importance"
    """importance: the attention learns to find the sites on whose features the loss depends most; gate: a kept site's
    features are multiplied by its attention (1 on average), which so learns like any weight; straight_through: the same
    gradient, but features stay as they are; frozen: never learns, as in the reference."""

    budget: float | None = None
    """Share of the sparse stages' multiply-accumulates that training reaches by moving top-p; none leaves top-p as it
    is."""

    budget_scope: Literal["stage", "total"] = "stage"
    """Whether every stage has the budget, or all stages together."""

    other_words: float = 0.0
    """Probability that in training an utterance's faces and audio are conditioned on the text of another utterance of
    the batch, so that they cannot answer from the text; 0: never, as in the reference."""

    no_text_query: bool = False
    """Whether a learned query stands for text that is missing, so that MESM answers on faces and audio alone; off, as
    in the reference, it requires text. Hide the text in training (--modality-dropout) to teach it."""

    def __post_init__(self) -> None:
        require(
            self.budget is None or 0 < self.budget < 1,
            f"model.attention.budget must be in (0, 1), not {self.budget}",
        )
        require(0 <= self.other_words <= 1, f"model.attention.other_words must be in [0, 1], not {self.other_words}")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The network; the defaults are the paper's."""

    name: Literal["fe2e", "mesm", "lf_rnn", "lf_transformer"] = "fe2e"
    """Model: fe2e (dense) or mesm (sparse), end to end; lf_rnn or lf_transformer over hand-crafted features."""

    modalities: str = MODALITIES
    """Any subset of t (text), a (acoustic), v (visual)."""

    fusion: Literal["late", "early"] = "late"
    """late: a weighted sum of each modality's logits; early: each modality's features, side by side, are classified."""

    feature_dim: int = 256
    """Early fusion: features of each modality."""

    text: TextSettings = field(default_factory=TextSettings)

    faces: FaceInputSettings = field(default_factory=FaceInputSettings)

    audio: AudioInputSettings = field(default_factory=AudioInputSettings)

    features: FeatureSettings = field(default_factory=FeatureSettings)

    rnn: RnnSettings = field(default_factory=RnnSettings)

    tower_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of the low level and of the three stages of the face and audio towers."""

    audio_channels: tuple[int, int, int, int] | None = None
    """Those of the audio tower, where they are not --model.tower-channels."""

    top_p: float = 0.5
    """MESM: share of the attention that each stage of the towers keeps; where a budget's search starts."""

    attention: AttentionSettings = field(default_factory=AttentionSettings)

    tower_dim: int = 1024
    """Hidden width of the linear layers that end a tower."""

    trans_dim: int = 64
    """Width of the sequence encoder over frames and chunks (lf_transformer: that of the features)."""

    num_layers: int = 4
    """Layers of the sequence encoder."""

    num_heads: int = 4
    """Attention heads of the sequence encoder (lf_transformer: the largest number up to 4, 2 and 5 for text, audio and
    video that divides the number of features)."""

    feedforward_dim: int = 2048
    """Feed-forward width of the sequence encoder."""

    dropout: float = 0.1
    """Dropout of the sequence encoder."""

    def __post_init__(self) -> None:
        given = self.modalities
        require(
            0 < len(given) == len(set(given)) and set(given) <= set(MODALITIES),
            f"model.modalities must be some of the letters t, a, v, each once, not '{given}'",
        )
        sizes = ("feature_dim", "tower_dim", "trans_dim", "num_layers", "num_heads", "feedforward_dim")
        require_positive(self, "model.", *sizes)
        require(
            self.trans_dim % self.num_heads == 0,
            f"model.trans_dim {self.trans_dim} is not a multiple of model.num_heads {self.num_heads}",
        )
        require(0 < self.top_p <= 1, f"model.top_p must be in (0, 1], not {self.top_p}")
        require(
            self.name != "mesm" or given != "t",
            "model.name mesm selects sites of faces and audio: model.modalities must include a or v, not 't' alone",
        )
        require(
            self.name != "mesm" or "t" in given or self.attention.no_text_query,
            f"model.name mesm selects by the text: model.modalities must include t, not '{given}', unless "
            "--model.attention.no-text-query is given",
        )
        require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), not {self.dropout}")
        require(
            self.audio.scale == "log" or self.audio.normalise == "none",
            f"model.audio.normalise {self.audio.normalise} requires --model.audio.scale log",
        )
        require(min(self.tower_channels) >= 1, f"model.tower_channels must be positive, not {self.tower_channels}")
        require(
            self.audio_channels is None or min(self.audio_channels) >= 1,
            f"model.audio_channels must be positive, not {self.audio_channels}",
        )
        require(
            self.hand_crafted or self.features == FeatureSettings(),
            f"model.features are for lf_rnn and lf_transformer; model.name {self.name} reads raw signals",
        )

    def channels_of(self, modality: str) -> tuple[int, int, int, int]:
        """Channels of the tower of a modality, a or v."""
        return self.audio_channels if modality == "a" and self.audio_channels is not None else self.tower_channels

    @property
    def hand_crafted(self) -> bool:
        """Whether the model reads hand-crafted features instead of raw signals."""
        return self.name.startswith("lf_")

    @property
    def required_modalities(self) -> str:
        """Letters of those that every utterance must have: MESM selects by the text, if it has no query without it."""
        return "t" if self.name == "mesm" and not self.attention.no_text_query else ""

    @property
    def reads_tokens(self) -> bool:
        """Whether the model has a text encoder and requires a tokenizer."""
        return "t" in self.modalities and not self.hand_crafted
