"""`Batch`: what every model takes. Utterances side by side, without padding across them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from mme2e.data.ragged import Ragged, by_value, from_value

_MODALITY_FIELDS = {
    "t": ("tokens", "text_features"),
    "a": ("mel_chunks", "waveforms", "acoustic_features"),
    "v": ("face_crops", "visual_features"),
}


@dataclass(frozen=True, kw_only=True)
class UtteranceItem:
    """One utterance. A modality that was not asked for is None; one that is missing has length 0.

    It holds either face crops, audio and tokens, or the hand-crafted features of the three.

    Attributes:
        id: Its id.
        face_crops: (frames, 3, 48, 48) uint8, RGB.
        waveform: (samples,) int16, 16 kHz.
        tokens: (tokens,) int64, ids of the model's tokenizer.
        text_features: (words, size) float32.
        acoustic_features: (steps, size) float32.
        visual_features: (steps, size) float32.
        audio_context: (2, 128) float32, see `Batch`; None where it was not asked for.
        labels: (emotions,) float32, 1 where present.
        targets: (emotions,) float32, what to learn in place of the labels; None: the labels.
    """

    id: str
    face_crops: Tensor | None = None
    waveform: Tensor | None = None
    tokens: Tensor | None = None
    text_features: Tensor | None = None
    acoustic_features: Tensor | None = None
    visual_features: Tensor | None = None
    audio_context: Tensor | None = None
    labels: Tensor
    targets: Tensor | None = None


@dataclass(kw_only=True)
class Batch:
    """Utterances side by side. A modality that no model needs may be None.

    Attributes:
        face_crops: (total_frames, 3, 48, 48) uint8, RGB 0..255; normalisation belongs to the model.
        mel_chunks: (total_chunks, 1, 128, 32) float32, power mel spectrogram, 0.4 s a chunk.
        waveforms: (total_samples,) int16 at 16 kHz, from which `mel_chunks` is made on the model's device.
        tokens: (total_tokens,) int64; the model pads them.
        text_features: (total_words, size) float32, hand-crafted features, not normalised.
        acoustic_features: (total_steps, size) float32, hand-crafted.
        visual_features: (total_steps, size) float32, hand-crafted.
        audio_context: (batch, 2, 128) float32, how the mel bands of each one's recording or speaker differ from its
            own, for models that normalise over them; see `mme2e.media.mel_statistics`.
        labels: (batch, emotions) float32, 1 where the emotion is present.
        targets: (batch, emotions) float32 in [0, 1], what to learn in place of the labels; None: the labels.
        ids: Utterance ids, in order.
    """

    face_crops: Ragged | None = None
    mel_chunks: Ragged | None = None
    waveforms: Ragged | None = None
    tokens: Ragged | None = None
    text_features: Ragged | None = None
    acoustic_features: Ragged | None = None
    visual_features: Ragged | None = None
    audio_context: Tensor | None = None
    labels: Tensor | None = None
    targets: Tensor | None = None
    ids: tuple[str, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return by_value(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(from_value(state))

    def __len__(self) -> int:
        """Number of utterances."""
        given = (getattr(self, f.name) for f in fields(self))
        return next((len(value) for value in given if value is not None), 0)

    def present(self, modality: str) -> Tensor | None:
        """(batch,) bool, which utterances have the modality t, a or v; None where the batch has nothing of it."""
        given = (getattr(self, name) for name in _MODALITY_FIELDS[modality])
        return next((ragged.present for ragged in given if ragged is not None), None)

    def hidden(self, modality: str, utterances: Tensor) -> "Batch":
        """The same batch, with the modality t, a or v not present where `utterances` (batch,) bool is true."""
        given = {name: getattr(self, name) for name in _MODALITY_FIELDS[modality]}
        return replace(self, **{k: ragged.hidden(utterances) for k, ragged in given.items() if ragged is not None})

    def select(self, utterances: Sequence[int]) -> "Batch":
        """Some utterances, in the order asked for; at least one."""
        chosen: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen = {name: value.select(utterances) for name, value in chosen.items() if isinstance(value, Ragged)}
        for name in ("audio_context", "labels", "targets"):
            rows = getattr(self, name)
            if rows is not None:
                chosen[name] = rows[torch.tensor(utterances, device=rows.device)]
        if self.ids is not None:
            chosen["ids"] = tuple(self.ids[index] for index in utterances)
        return replace(self, **chosen)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device; for the copy of page-locked memory nothing waits."""
        return self._moved(
            lambda value: (
                value.to(device, non_blocking=value.is_pinned()) if isinstance(value, Tensor) else value.to(device)
            )
        )

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, for a fast copy to a GPU."""
        return self._moved(lambda value: value.pin_memory())

    def _moved(self, function) -> "Batch":  # type: ignore[no-untyped-def]  # any Tensor or Ragged to one of its kind
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: function(v) for k, v in given.items() if isinstance(v, Tensor | Ragged)})

    def with_mel_chunks(self) -> "Batch":
        """The same batch with `mel_chunks` made from `waveforms`, on their device.

        A batch that has its chunks already, or no audio, comes back as it is.
        """
        if self.waveforms is None or self.mel_chunks is not None:
            return self
        from mme2e.media.mel import mel_chunks

        chunks, num_chunks = mel_chunks(self.waveforms.values, self.waveforms.lengths)
        return replace(self, mel_chunks=Ragged(chunks, num_chunks, self.waveforms.present))


def collate(items: Sequence[UtteranceItem]) -> Batch:
    """Puts utterances side by side.

    Args:
        items: One or more, all with the same modalities asked for (see `UtteranceItem`).

    Returns:
        A batch with `waveforms`, from which `Batch.with_mel_chunks` makes the chunks; or with hand-crafted features.
    """

    def joined(name: str) -> Ragged | None:
        sequences = [getattr(item, name) for item in items]
        return None if sequences[0] is None else Ragged.join(sequences)

    return Batch(
        face_crops=joined("face_crops"),
        waveforms=joined("waveform"),
        tokens=joined("tokens"),
        text_features=joined("text_features"),
        acoustic_features=joined("acoustic_features"),
        visual_features=joined("visual_features"),
        audio_context=_stacked([item.audio_context for item in items]),
        labels=torch.stack([item.labels for item in items]),
        targets=_stacked([item.targets for item in items]),
        ids=tuple(item.id for item in items),
    )


def _stacked(rows: Sequence[Tensor | None]) -> Tensor | None:
    """(batch, emotions); None where no utterance has a row: either all have one or none has."""
    given = [row for row in rows if row is not None]
    return torch.stack(given) if given else None
