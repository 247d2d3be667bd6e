"""LF_RNN and LF_TRANSFORMER: the baselines over hand-crafted features (reference section 1)."""

from torch import Tensor, nn

from mme2e.config import MODALITIES, ModelSettings
from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.models.acoustic_feature_sets import acoustic_columns
from mme2e.models.feature_branch import FeatureBranch, RnnEncoder, Standardise
from mme2e.models.fusion import ModalityOutputs, build_fusion, head_width
from mme2e.models.sequence_encoder import SequenceEncoder

BRANCHES = {"t": "text", "a": "acoustic", "v": "visual"}
"""Names of the branches, in the order of the fusion weights."""

_MOST_HEADS = {"t": 4, "a": 2, "v": 5}
"""Attention heads of the reference, for 300, 144 and 35 features."""


class LateFusion(nn.Module):
    """A recurrent network or a transformer over each modality's features, fused as in FE2E.

    The features are standardised with the training split's mean and deviation. `settings.features.masked` keeps
    padding from the encoders; without it everything is as in the reference: the recurrent networks read the zeros
    behind every sequence, and of the text they take the last step; the transformer reads those behind text.

    Args:
        settings: `name` is lf_rnn or lf_transformer; the sizes of the features are known.
        num_emotions: Logits.

    Attributes:
        branches: `text`, `acoustic`, `visual`, as far as they are used.
        fusion_order: The letters of the modalities in the order of the fusion weights.

    Raises:
        UserError: The size of a modality that is used is not known, or too small for the acoustic feature set.
    """

    def __init__(self, settings: ModelSettings, *, num_emotions: int) -> None:
        super().__init__()
        self.fusion_order = "".join(letter for letter in MODALITIES if letter in settings.modalities)
        self._out_dim = head_width(settings, num_emotions)
        self.branches = nn.ModuleDict(
            {BRANCHES[letter]: _branch(letter, settings, self._out_dim) for letter in self.fusion_order}
        )
        self.fusion = build_fusion(settings, num_emotions)

    def forward(self, batch: Batch) -> Tensor:
        """Logits of each utterance.

        Args:
            batch: Utterances with hand-crafted features, on the model's device. A modality whose features are None is
                missing in all of them.

        Returns:
            (batch, emotions) float32.

        Raises:
            UserError: An utterance has none of the model's modalities.
            ValueError: Features are of another size than the model's.
        """
        outputs = self.modality_outputs(batch)
        outputs.require_any(batch.ids)
        return self.fusion(outputs.values, outputs.present)

    def modality_outputs(self, batch: Batch) -> ModalityOutputs:
        """What text, audio and video give, each on its own, before fusion; as `forward`, but nothing is refused."""
        given = {
            "text": batch.text_features,
            "acoustic": batch.acoustic_features,
            "visual": batch.visual_features,
        }
        parts: list[tuple[Tensor | None, Tensor | None]] = []
        for name, branch in self.branches.items():
            features = given[name]
            parts.append((None, None) if features is None else (branch(features), features.present))
        like = next(self.parameters())
        return ModalityOutputs.of(parts, batch=len(batch), width=self._out_dim, like=like)


def _branch(letter: str, settings: ModelSettings, out_dim: int) -> FeatureBranch:
    features, name = settings.features, BRANCHES[letter]
    size = {"t": features.text_size, "a": features.acoustic_size, "v": features.visual_size}[letter]
    if size is None:
        raise UserError(f"model.features.{name}_size is not known; training takes it from the corpus' features")
    columns = None
    if letter == "a" and features.audio_feature_type is not None:
        columns = acoustic_columns(features.audio_feature_type)
        if max(columns) >= size:
            raise UserError(
                f"model.features.audio_feature_type {features.audio_feature_type} chooses among the reference's "
                f"acoustic features, at least {max(columns) + 1} a step; these have {size}: leave it out"
            )
    standardise = Standardise(size, columns)
    dim = standardise.out_size
    as_reference = not features.masked
    if settings.name == "lf_rnn":
        rnn = RnnEncoder(dim, settings.rnn, takes_last_step=as_reference and letter == "t")
        return FeatureBranch(standardise, rnn, rnn.out_dim, out_dim, reads_padding=as_reference)
    transformer = SequenceEncoder(
        dim,
        num_layers=settings.num_layers,
        num_heads=attention_heads(letter, dim),
        feedforward_dim=settings.feedforward_dim,
        dropout=settings.dropout,
    )
    return FeatureBranch(standardise, transformer, dim, out_dim, reads_padding=as_reference and letter == "t")


def attention_heads(letter: str, size: int) -> int:
    """Attention heads of lf_transformer: the most that divide the size, up to the reference's number.

    Args:
        letter: t, a or v.
        size: Number of features.
    """
    return next(heads for heads in range(_MOST_HEADS[letter], 0, -1) if size % heads == 0)
