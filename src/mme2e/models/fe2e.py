"""FE2E: the dense, fully end-to-end model (reference section 1; Dai et al. 2021, section 4)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from mme2e.config import ModelSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.models.fusion import ModalityOutputs, build_fusion, head_width
from mme2e.models.sequence_encoder import SequenceEncoder
from mme2e.models.signals import audio_maps, face_input, face_maps
from mme2e.models.towers import AUDIO_INPUT, Tower, TowerInput
from mme2e.models.trace import Trace


class TextBranch(nn.Module):
    """A text encoder and a linear head over its [CLS], or over the mean of its tokens.

    Args:
        encoder: Called with `input_ids` and `attention_mask`, returns `last_hidden_state`; `config.hidden_size` is
            its width.
        out_dim: Logits, or features for early fusion.
        pooling: See `TextSettings`.
    """

    def __init__(self, encoder: nn.Module, out_dim: int, pooling: Literal["first", "mean"] = "first") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        config: Any = encoder.config
        self.padding: int = getattr(config, "pad_token_id", None) or 0
        self.head = nn.Linear(config.hidden_size, out_dim)

    def encode(self, tokens: Ragged) -> Tensor:
        """The first token's vector of the last layer, or the mean over the tokens, the special ones included.

        Args:
            tokens: (total_tokens,) int64; of no tokens where there is no text.

        Returns:
            (batch, hidden_size).
        """
        input_ids, attention_mask = tokens.padded(self.padding, at_least=1)
        # A row that may look at nothing turns into NaN in some encoders: let rows without text see their first token.
        attention_mask[:, 0] = True
        mask = attention_mask.long()
        vectors = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        if self.pooling == "first":
            return vectors[:, 0]
        weights = mask.to(vectors.dtype).unsqueeze(2)
        return (vectors * weights).sum(1) / weights.sum(1)

    def forward(self, tokens: Ragged) -> Tensor:
        """What the head makes of `encode`'s vectors: (batch, out_dim)."""
        return self.head(self.encode(tokens))


class SequenceBranch(nn.Module):
    """A tower over each frame or chunk, a sequence encoder over the tower's vectors and a linear head.

    Args:
        tower: Takes maps, and the text vector of each map's utterance if it is conditioned on it; returns
            (maps, trans_dim).
        settings: Sizes.
        out_dim: Logits, or features for early fusion.

    Attributes:
        no_text: (text_dim,) what the tower is conditioned on where there is no text; None: it is not conditioned, or
            requires text.
    """

    no_text: nn.Parameter | None

    def __init__(self, tower: nn.Module, settings: ModelSettings, out_dim: int) -> None:
        super().__init__()
        dim = settings.trans_dim
        self.tower = tower
        self.sequence = SequenceEncoder(
            dim,
            num_layers=settings.num_layers,
            num_heads=settings.num_heads,
            feedforward_dim=settings.feedforward_dim,
            dropout=settings.dropout,
        )
        self.head = nn.Linear(dim, out_dim)
        self.register_parameter("no_text", None)

    def forward(self, maps: Ragged, text: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """Logits or features of each utterance.

        Args:
            maps: (total, channels, height, width).
            text: (batch, text_dim), for a tower that is conditioned on it.
            trace: What the tower selects is added to it.

        Returns:
            (batch, out_dim).
        """
        return self.gather(self.encode(maps, text, trace))

    def encode(self, maps: Ragged, text: Tensor | None = None, trace: Trace | None = None) -> Ragged:
        """The tower's vector of each map, (total, trans_dim); arguments as in `forward`."""
        values, lengths = maps.values, maps.lengths
        query = () if text is None else (text.repeat_interleave(lengths, dim=0, output_size=len(values)),)
        nothing = self.head.weight.new_zeros(0, self.head.in_features)
        vectors = self.tower(values, *query, trace=trace) if len(values) else nothing
        return Ragged(vectors, lengths, maps.present)

    def gather(self, vectors: Ragged) -> Tensor:
        """Logits or features (batch, out_dim) of the vectors that `encode` gave."""
        return self.head(self.sequence(vectors.values, vectors.lengths))


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """What the encoders make of a batch; a modality that the model does not use or the batch lacks is None.

    Attributes:
        text: (batch, hidden_size).
        text_present: (batch,) bool.
        visual: A vector a face crop, (total_frames, trans_dim).
        acoustic: A vector a mel chunk, (total_chunks, trans_dim).
    """

    text: Tensor | None
    text_present: Tensor | None
    visual: Ragged | None
    acoustic: Ragged | None


class FE2E(nn.Module):
    """Text, faces and audio, each classified on its own, fused by a weighted sum of logits.

    With early fusion the branches give features of one width instead, which are classified together. The branches are
    `text`, `visual` and `acoustic`; one that is not among the modalities is None.

    Args:
        settings: Modalities and sizes.
        num_emotions: Logits.
        text_encoder: Of `mme2e.text`; needed when the modalities hold t.
        make_tower: Makes the tower over a modality's maps, of its channels; that of `Tower` when None.

    Attributes:
        fusion_order: The letters of the modalities in the order of the fusion weights.

    Raises:
        ValueError: The modalities hold t and there is no text encoder.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        num_emotions: int,
        text_encoder: nn.Module | None,
        make_tower: Callable[[TowerInput, tuple[int, int, int, int]], Tower] | None = None,
    ) -> None:
        super().__init__()
        used = settings.modalities
        if "t" in used and text_encoder is None:
            raise ValueError(f"a model with modalities '{used}' requires a text encoder")
        width = head_width(settings, num_emotions)
        self.text = None
        if "t" in used and text_encoder is not None:
            self.text = TextBranch(text_encoder, width, settings.text.pooling)
        make_tower = make_tower or partial(_dense_tower, settings)
        towers = {"v": face_input(settings.faces), "a": AUDIO_INPUT}
        branches = {
            letter: SequenceBranch(make_tower(source, settings.channels_of(letter)), settings, width)
            for letter, source in towers.items()
            if letter in used
        }
        self.visual, self.acoustic = branches.get("v"), branches.get("a")
        self.fusion = build_fusion(settings, num_emotions)
        self._settings = settings
        self.fusion_order = "".join(letter for letter in "tva" if letter in used)

    def _conditioned_on(self, text: Tensor | None) -> Tensor | None:
        """What the text vectors (batch, hidden_size) become before the towers are conditioned on them."""
        return text

    def _query(self, branch: SequenceBranch, text: Tensor | None, batch: Batch) -> Tensor | None:
        """What a branch's tower is conditioned on, of what `_conditioned_on` gave: nothing."""
        return None

    def forward(self, batch: Batch, trace: Trace | None = None) -> Tensor:
        """Logits of each utterance.

        A modality that is None in the batch is missing in all its utterances; where it is not present, it contributes
        nothing to its utterance. Audio may come as `waveforms` instead of `mel_chunks`.

        Args:
            batch: Utterances, on the model's device.
            trace: What the stages of MESM select is added to it; FE2E selects nothing.

        Returns:
            (batch, emotions) float32 (float64 in a float64 model).

        Raises:
            UserError: An utterance has none of the model's modalities.
        """
        outputs = self.modality_outputs(batch, trace)
        outputs.require_any(batch.ids)
        return self.fusion(outputs.values, outputs.present)

    def modality_outputs(self, batch: Batch, trace: Trace | None = None) -> ModalityOutputs:
        """What text, faces and audio give, each on its own, before fusion; as `forward`, but nothing is refused.

        Args:
            batch: Utterances, on the model's device.
            trace: As in `forward`.
        """
        return self.outputs_of(self.encode(batch, trace), len(batch))

    def encode(self, batch: Batch, trace: Trace | None = None) -> Encoded:
        """What the encoders make of each token, face crop and mel chunk, before the sequences are gathered.

        Args:
            batch: Utterances, on the model's device.
            trace: As in `forward`.
        """
        if self.acoustic is not None and batch.mel_chunks is None and batch.waveforms is not None:
            batch = batch.with_mel_chunks()
        text = None
        if self.text is not None and batch.tokens is not None:
            text = self.text.encode(batch.tokens)
        conditioned_on = self._conditioned_on(text)
        visual = acoustic = None
        if self.visual is not None and batch.face_crops is not None:
            faces = face_maps(batch.face_crops, self._settings.faces)
            visual = self.visual.encode(faces, self._query(self.visual, conditioned_on, batch), trace)
        if self.acoustic is not None and batch.mel_chunks is not None:
            chunks = audio_maps(batch.mel_chunks, self._settings.audio, batch.audio_context)
            acoustic = self.acoustic.encode(chunks, self._query(self.acoustic, conditioned_on, batch), trace)
        present = None if text is None else batch.present("t")
        return Encoded(text=text, text_present=present, visual=visual, acoustic=acoustic)

    def outputs_of(self, encoded: Encoded, batch: int) -> ModalityOutputs:
        """What each modality gives, of what `encode` gave for so many utterances."""
        # In the order of `fusion_order`.
        parts: list[tuple[Tensor | None, Tensor | None]] = []
        if self.text is not None:
            text = None if encoded.text is None else self.text.head(encoded.text)
            parts.append((text, encoded.text_present))
        for branch, vectors in ((self.visual, encoded.visual), (self.acoustic, encoded.acoustic)):
            if branch is not None:
                parts.append((None, None) if vectors is None else (branch.gather(vectors), vectors.present))
        head = next(branch.head for branch in (self.text, self.visual, self.acoustic) if branch is not None)
        return ModalityOutputs.of(parts, batch=batch, width=head.out_features, like=head.weight)


def _dense_tower(settings: ModelSettings, source: TowerInput, channels: tuple[int, int, int, int]) -> Tower:
    return Tower(source, channels=channels, hidden_dim=settings.tower_dim, out_dim=settings.trans_dim)
