"""From single utterances to a `Batch`: concatenation, and padding of token ids only."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mme2e.data.batch import Batch
from mme2e.data.dataset import UtteranceItem


def collate(items: Sequence[UtteranceItem], pad_token_id: int = 0) -> Batch:
    """Puts utterances side by side.

    Args:
        items: One or more, all with the same modalities asked for (see `UtteranceItem`).
        pad_token_id: Fills token ids up to the longest text of the batch.

    Returns:
        A batch with `waveforms`, from which `Batch.with_mel_chunks` makes the chunks; or with hand-crafted features.
    """
    crops = [item.face_crops for item in items if item.face_crops is not None]
    waveforms = [item.waveform for item in items if item.waveform is not None]
    texts = [item.input_ids for item in items if item.input_ids is not None]
    input_ids, attention_mask = _pad(texts, pad_token_id) if texts else (None, None)
    words = [item.text_features for item in items if item.text_features is not None]
    acoustic = [item.acoustic_features for item in items if item.acoustic_features is not None]
    visual = [item.visual_features for item in items if item.visual_features is not None]
    return Batch(
        face_crops=_joined(crops),
        num_frames=_lengths(crops),
        waveforms=_joined(waveforms),
        num_samples=_lengths(waveforms),
        input_ids=input_ids,
        attention_mask=attention_mask,
        text_features=_joined(words),
        num_words=_lengths(words),
        acoustic_features=_joined(acoustic),
        num_acoustic=_lengths(acoustic),
        visual_features=_joined(visual),
        num_visual=_lengths(visual),
        labels=torch.stack([item.labels for item in items]),
        ids=tuple(item.id for item in items),
    )


def _joined(tensors: list[Tensor]) -> Tensor | None:
    return torch.cat(tensors) if tensors else None


def _lengths(tensors: list[Tensor]) -> Tensor | None:
    return torch.tensor([len(tensor) for tensor in tensors]) if tensors else None


def _pad(texts: list[Tensor], pad_token_id: int) -> tuple[Tensor, Tensor]:
    """(batch, tokens) ids and mask; at least one column, so that a batch without any text is still a batch."""
    longest = max(1, *(len(text) for text in texts))
    input_ids = torch.full((len(texts), longest), pad_token_id, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    for row, text in enumerate(texts):
        input_ids[row, : len(text)] = text
        attention_mask[row, : len(text)] = 1
    return input_ids, attention_mask
