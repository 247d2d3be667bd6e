"""`Batch`: what every model takes. Flat ragged tensors, no padding across utterances."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

BY_VALUE_BYTES = 1 << 20
"""Largest tensor that is copied between processes; larger ones lie in shared memory."""


@dataclass(kw_only=True)
class Batch:
    """Utterances side by side.

    A modality that no model needs may be None. The frames of utterance i are the `num_frames[i]` rows of
    `face_crops` after those of the utterances before it; chunks and samples likewise.

    Attributes:
        face_crops: (total_frames, 3, 48, 48) uint8, RGB 0..255; normalisation belongs to the model.
        num_frames: (batch,) int64, 0 where there is no picture.
        mel_chunks: (total_chunks, 1, 128, 32) float32, power mel spectrogram, 0.4 s a chunk.
        num_chunks: (batch,) int64, 0 where there is no sound.
        waveforms: (total_samples,) int16 at 16 kHz, from which `mel_chunks` is made on the model's device.
        num_samples: (batch,) int64.
        input_ids: (batch, tokens) int64, padded to the longest text of the batch.
        attention_mask: (batch, tokens) int64, 1 where there is a token; a row of zeros where there is no text.
        text_features: (total_words, size) float32, hand-crafted features, not normalised.
        num_words: (batch,) int64, 0 where there is no text.
        acoustic_features: (total_steps, size) float32, hand-crafted.
        num_acoustic: (batch,) int64, steps of each utterance.
        visual_features: (total_steps, size) float32, hand-crafted.
        num_visual: (batch,) int64, steps of each utterance.
        labels: (batch, emotions) float32, 1 where the emotion is present.
        text_present, visual_present, acoustic_present: (batch,) bool; derived from the lengths when not given.
        ids: Utterance ids, in order.
    """

    face_crops: Tensor | None = None
    num_frames: Tensor | None = None
    mel_chunks: Tensor | None = None
    num_chunks: Tensor | None = None
    waveforms: Tensor | None = None
    num_samples: Tensor | None = None
    input_ids: Tensor | None = None
    attention_mask: Tensor | None = None
    text_features: Tensor | None = None
    num_words: Tensor | None = None
    acoustic_features: Tensor | None = None
    num_acoustic: Tensor | None = None
    visual_features: Tensor | None = None
    num_visual: Tensor | None = None
    labels: Tensor | None = None
    text_present: Tensor | None = None
    visual_present: Tensor | None = None
    acoustic_present: Tensor | None = None
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.input_ids is not None and self.attention_mask is None:
            self.attention_mask = torch.ones_like(self.input_ids)
        if self.text_present is None and self.attention_mask is not None:
            self.text_present = self.attention_mask.any(dim=1)
        if self.text_present is None:
            self.text_present = _any_steps(self.num_words)
        if self.visual_present is None:
            self.visual_present = _any_steps(self.num_frames, self.num_visual)
        if self.acoustic_present is None:
            self.acoustic_present = _any_steps(self.num_chunks, self.num_samples, self.num_acoustic)

    def __getstate__(self) -> dict[str, Any]:
        # From a data loader's worker torch passes each tensor on as a file, over a connection of its own: half a
        # millisecond for any size, and more when all cores are busy. Small ones travel by value.
        return {name: _by_value(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = {name: torch.from_numpy(value) for name, value in state.items() if isinstance(value, np.ndarray)}
        self.__dict__.update(state | arrays)

    def __len__(self) -> int:
        """Number of utterances."""
        raw = (self.num_frames, self.num_chunks, self.num_samples, self.input_ids, self.labels)
        for tensor in (*raw, self.num_words, self.num_acoustic, self.num_visual):
            if tensor is not None:
                return len(tensor)
        return 0

    def _map(self, function) -> "Batch":  # type: ignore[no-untyped-def]  # any Tensor -> Tensor
        changed = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: function(v) if isinstance(v, Tensor) else v for k, v in changed.items()})

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, for a fast copy to a GPU."""
        return self._map(lambda tensor: tensor.pin_memory())

    def with_mel_chunks(self) -> "Batch":
        """The same batch with `mel_chunks` and `num_chunks` made from `waveforms`, on their device.

        A batch that has its chunks already, or no sound, comes back as it is.
        """
        if self.waveforms is None or self.num_samples is None or self.mel_chunks is not None:
            return self
        from mme2e.media.mel import mel_chunks

        chunks, num_chunks = mel_chunks(self.waveforms, self.num_samples)
        return replace(self, mel_chunks=chunks, num_chunks=num_chunks)


def _by_value(value: Any) -> Any:
    """A small tensor as an array, which is pickled whole; anything else as it is."""
    small = isinstance(value, Tensor) and value.nbytes <= BY_VALUE_BYTES
    return value.numpy() if small and value.device.type == "cpu" and value.dtype != torch.bfloat16 else value


def _any_steps(*lengths: Tensor | None) -> Tensor | None:
    """(batch,) bool from the first lengths that there are."""
    given = next((each for each in lengths if each is not None), None)
    return None if given is None else given > 0
