"""What a model says of segments with parts of them hidden: occlusion (Zeiler and Fergus 2014, section 4.2).

Words are deleted from the text (Li et al. 2016, "Understanding neural networks through representation erasure"). Face
crops and mel chunks are left out of their sequences: the sequence encoder has no positional encoding and has learnt
sequences of any length, so that a shorter one is nothing new to it, as a grey face or a stretch of silence would be.

Towers look at each crop and chunk on its own, so that each is computed once, whatever else is hidden. MESM selects
sites by the text: without the text as a whole it selects anew; without single words it does so only where that is asked
for, since it costs a forward pass a word (benchmarks/evidence.py measures what that changes).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.inference.model_input import MODALITIES, SegmentInput, batch_of, tokens_of
from mme2e.inference.recognizer import Recognizer
from mme2e.inference.selected_sites import StageSelection, selections_of
from mme2e.models import FE2E, MESM
from mme2e.models.fe2e import Encoded
from mme2e.models.fusion import ModalityOutputs
from mme2e.models.trace import Trace

MAPS_AT_A_TIME = 1024
"""Face crops and mel chunks that are encoded together: bounds the memory."""

SEQUENCES_AT_A_TIME = 256


@dataclass(frozen=True, kw_only=True)
class Hiding:
    """What is hidden of a segment.

    Attributes:
        segment: Its number.
        text: What is said instead; None: all that is said.
        visual: Numbers of the face crops that are left out.
        acoustic: Numbers of the mel chunks that are left out.
        modalities: Those of `MODALITIES` that are left out as a whole.
    """

    segment: int
    text: str | None = None
    visual: frozenset[int] = frozenset()
    acoustic: frozenset[int] = frozenset()
    modalities: frozenset[str] = frozenset()


_Key = tuple[int, str | None]
"""A segment and what is said in it: None: all that is said."""

_NO_TEXT = "\0"
"""In a key: nothing is known of what is said, as opposed to an empty text."""


class Occlusion:
    """Segments, and what the model says of them with parts hidden.

    Args:
        recognizer: Of a run that reads recordings.
        segments: Of `Recognizer.read`; those of which the recognizer `can_answer`, at least one.
        reselect: Whether MESM selects its sites anew for a text without some of its words.

    Attributes:
        segments: As given.
        visual: Of MESM, what the stages kept of all face crops, one segment after the other; None of other models.
        acoustic: The same of all mel chunks.
        batch: The segments, with their mel chunks.

    Raises:
        UserError: The run reads hand-crafted features.
    """

    visual: tuple[StageSelection, ...] | None
    acoustic: tuple[StageSelection, ...] | None
    batch: Batch

    @torch.inference_mode()
    def __init__(self, recognizer: Recognizer, segments: Sequence[SegmentInput], *, reselect: bool = False) -> None:
        recognizer.require_recordings()
        model = recognizer.model
        assert isinstance(model, FE2E)
        self._recognizer, self._model, self.segments = recognizer, model, segments
        self._reselect = reselect
        batch = batch_of(segments).to(recognizer.device).with_mel_chunks()
        self.batch = Batch(
            face_crops=batch.face_crops,
            mel_chunks=batch.mel_chunks,
            tokens=batch.tokens,
            audio_context=batch.audio_context,
        )
        trace = Trace()
        encoded = model.encode(self.batch, trace)
        self.visual, self.acoustic = selections_of(model, trace) if isinstance(model, MESM) else (None, None)
        self._known: set[_Key] = {(number, None) for number in range(len(segments))}
        self._text: dict[_Key, Tensor] = {}
        self._vectors: dict[str, dict[_Key, Tensor]] = {"visual": {}, "acoustic": {}}
        self._keep(encoded, [(number, None) for number in range(len(segments))])

    def size(self, segment: int, modality: str) -> int:
        """How many face crops ("visual") or mel chunks ("acoustic") of a segment can be hidden."""
        return len(self._vectors[modality].get((segment, None), ()))

    def used(self, hiding: Hiding) -> tuple[str, ...]:
        """Modalities that are left; a modality of which all crops or chunks are hidden is not."""
        left = [name for name in self.segments[hiding.segment].used if name not in hiding.modalities]
        return tuple(
            name for name in left if name == "text" or len(getattr(hiding, name)) < self.size(hiding.segment, name)
        )

    def can_answer(self, hiding: Hiding) -> bool:
        """Whether anything is left that the model can answer from."""
        used = self.used(hiding)
        return bool(used) and ("text" in used or "t" not in self._recognizer.info.model.required_modalities)

    @torch.inference_mode()
    def probabilities(self, hidings: Sequence[Hiding]) -> Tensor:
        """Calibrated probabilities, by the modalities that are left.

        Args:
            hidings: Any number, of any of the segments; `can_answer` is true for each.

        Returns:
            (hidings, emotions) float32, on the CPU.
        """
        used = [self.used(hiding) for hiding in hidings]
        texts = [_NO_TEXT if "text" not in names else hiding.text for hiding, names in zip(hidings, used, strict=True)]
        self._encode({(hiding.segment, text): None for hiding, text in zip(hidings, texts, strict=True)})
        logits = self._logits(hidings, texts, used)
        rows = [self._recognizer.probabilities(row, names) for row, names in zip(logits, used, strict=True)]
        return torch.stack(rows).cpu() if rows else torch.zeros(0, len(self._recognizer.info.label_names))

    def _logits(
        self, hidings: Sequence[Hiding], texts: Sequence[str | None], used: Sequence[tuple[str, ...]]
    ) -> Tensor:
        """(hidings, emotions)."""
        model = self._model
        parts: list[tuple[Tensor | None, Tensor | None]] = []
        device = self._recognizer.device
        present = {
            name: torch.tensor([name in names for names in used], device=device, dtype=torch.bool)
            for name in MODALITIES
        }
        keys = [(hiding.segment, text) for hiding, text in zip(hidings, texts, strict=True)]
        if model.text is not None:
            nothing = model.text.head.weight.new_zeros(model.text.head.in_features)
            rows = [self._text[key] if "text" in names else nothing for key, names in zip(keys, used, strict=True)]
            parts.append((model.text.head(torch.stack(rows)), present["text"]))
        for name in ("visual", "acoustic"):
            branch = getattr(model, name)
            if branch is not None:
                hidden = [
                    getattr(hiding, name) if name in names else None
                    for hiding, names in zip(hidings, used, strict=True)
                ]
                parts.append((self._gathered(name, branch, keys, hidden), present[name]))
        head = next(branch.head for branch in (model.text, model.visual, model.acoustic) if branch is not None)
        outputs = ModalityOutputs.of(parts, batch=len(hidings), width=head.out_features, like=head.weight)
        return model.fusion(outputs.values, outputs.present)

    def _gathered(
        self, name: str, branch: Any, keys: Sequence[_Key], hidden: Sequence[frozenset[int] | None]
    ) -> Tensor:
        """(hidings, width); each sequence that several of them share is gathered once. None: not there."""
        places: dict[tuple[_Key, frozenset[int]] | None, int] = {}
        sequences: list[Tensor] = []
        rows = []
        for key, out in zip(keys, hidden, strict=True):
            known = None if out is None else (self._tower_key(key), out)
            if known not in places:
                places[known] = len(sequences)
                sequences.append(self._sequence(name, branch, known))
            rows.append(places[known])
        found = [
            branch.gather(Ragged.join(sequences[first : first + SEQUENCES_AT_A_TIME]).to(self._recognizer.device))
            for first in range(0, len(sequences), SEQUENCES_AT_A_TIME)
        ]
        return torch.cat(found)[torch.tensor(rows, device=self._recognizer.device)]

    def _sequence(self, name: str, branch: Any, known: tuple[_Key, frozenset[int]] | None) -> Tensor:
        """(steps, trans_dim), what is left of a segment's vectors."""
        if known is None:
            return branch.head.weight.new_zeros(0, branch.head.in_features)
        key, out = known
        vectors = self._vectors[name][key]
        return vectors[[step for step in range(len(vectors)) if step not in out]] if out else vectors

    def _tower_key(self, key: _Key) -> _Key:
        """Under which the vectors of the towers are kept; another text's only where MESM selects by it."""
        selects = isinstance(self._model, MESM) and (self._reselect or key[1] == _NO_TEXT)
        return key if selects else (key[0], None)

    def _encode(self, keys: Iterable[_Key]) -> None:
        """Encodes what is not known yet."""
        new = [key for key in keys if key not in self._known]
        self._known.update(new)
        texts = [key for key in new if self._tower_key(key) != key]
        for first in range(0, len(texts), SEQUENCES_AT_A_TIME):
            self._encode_texts(texts[first : first + SEQUENCES_AT_A_TIME])
        group: list[_Key] = []
        maps = 0
        for key in new:
            if self._tower_key(key) == key:
                group.append(key)
                maps += self.size(key[0], "visual") + self.size(key[0], "acoustic")
            if maps >= MAPS_AT_A_TIME:
                self._encode_whole(group)
                group, maps = [], 0
        if group:
            self._encode_whole(group)

    def _tokens(self, keys: Sequence[_Key]) -> Ragged | None:
        info, tokenizer = self._recognizer.info, self._recognizer.tokenizer
        nothing = torch.zeros(0, dtype=torch.int64)
        tokens = [nothing if text == _NO_TEXT else tokens_of(text or "", info, tokenizer)[0] for _, text in keys]
        return Ragged.join(tokens).to(self._recognizer.device) if any(map(len, tokens)) else None

    def _encode_texts(self, keys: Sequence[_Key]) -> None:
        tokens = self._tokens(keys)
        if tokens is not None and self._model.text is not None:
            self._text.update(zip(keys, self._model.text.encode(tokens), strict=True))

    def _encode_whole(self, keys: Sequence[_Key]) -> None:
        whole = self.batch.select([segment for segment, _ in keys])
        self._keep(self._model.encode(replace(whole, tokens=self._tokens(keys))), keys)

    def _keep(self, encoded: Encoded, keys: Sequence[_Key]) -> None:
        for number, key in enumerate(keys):
            if encoded.text is not None:
                self._text[key] = encoded.text[number]
        for name in ("visual", "acoustic"):
            vectors = getattr(encoded, name)
            if vectors is not None:
                self._vectors[name].update(zip(keys, vectors.split(), strict=True))
