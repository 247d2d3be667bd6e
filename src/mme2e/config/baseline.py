"""Settings of the baselines over hand-crafted features."""

from dataclasses import dataclass

from mme2e.config.checks import require, require_positive


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Hand-crafted features, as lf_rnn and lf_transformer read them."""

    text_size: int | None = None
    """Numbers a word; taken from the corpus when not given."""

    acoustic_size: int | None = None
    """Numbers a step of audio, before any are chosen; taken from the corpus when not given."""

    visual_size: int | None = None
    """Numbers a step of video; taken from the corpus when not given."""

    audio_feature_type: int | None = None
    """Acoustic feature set of the reference, 0 to 6: which numbers of a step of audio are used; all when not given."""

    masked: bool = True
    """Whether padding is kept from the sequence encoders; no: it is read as steps of zeros, as in the reference."""

    def __post_init__(self) -> None:
        given = [name for name in ("text_size", "acoustic_size", "visual_size") if getattr(self, name) is not None]
        require_positive(self, "model.features.", *given)
        require(
            self.audio_feature_type is None or self.audio_feature_type in range(7),
            f"model.features.audio_feature_type must be 0 to 6, not {self.audio_feature_type}",
        )


@dataclass(frozen=True, kw_only=True)
class RnnSettings:
    """lf_rnn: the recurrent network over each modality's features."""

    gru: bool = False
    """GRU instead of LSTM."""

    bidirectional: bool = True
    """Whether sequences are also read backwards."""

    num_layers: int = 1
    """Layers."""

    hidden_size: int | None = None
    """Width of the state of each direction; the number of features when not given."""

    dropout: float = 0.1
    """Dropout between layers."""

    def __post_init__(self) -> None:
        require_positive(self, "model.rnn.", "num_layers", *(["hidden_size"] if self.hidden_size is not None else []))
        require(0 <= self.dropout < 1, f"model.rnn.dropout must be in [0, 1), not {self.dropout}")
