"""Augmentation of batches of training data: mel chunks, hidden modalities.

That of single utterances, in the data loader, is in `augment_faces`, `augment_audio` and `augment_text`. Everything
that is off changes not one bit.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mme2e.config import MODALITIES, AugmentSettings
from mme2e.data.batch import Batch


def happens(probability: float, rng: np.random.Generator) -> bool:
    """Whether something of this probability happens; without a draw where it is 0."""
    return probability > 0 and rng.random() < probability


def augment_mel(batch: Batch, settings: AugmentSettings, generator: torch.Generator) -> Batch:
    """SpecAugment (Park et al. 2019, without time warping) on the device of the batch.

    Time masks are drawn for every chunk, frequency masks for every utterance; masked power becomes zero. A mask is
    0 to `time_mask_columns` columns or `frequency_mask_mels` bands wide, at most all of them.

    Args:
        batch: With `mel_chunks` (total_chunks, 1, mels, columns).
        settings: `time_masks`, `time_mask_columns`, `frequency_masks` and `frequency_mask_mels` are used.
        generator: Decides the masks; on any device.

    Returns:
        A batch with new `mel_chunks`; the one given where there is nothing to do.
    """
    if batch.mel_chunks is None or (settings.time_masks == 0 and settings.frequency_masks == 0):
        return batch
    chunks, num_chunks = batch.mel_chunks.values, batch.mel_chunks.lengths
    mels, columns = chunks.shape[-2:]
    if settings.time_masks > 0:
        hidden = _stripes(len(chunks), settings.time_masks, settings.time_mask_columns, columns, generator)
        chunks = chunks.masked_fill(hidden.to(chunks.device)[:, None, None, :], 0)
    if settings.frequency_masks > 0:
        hidden = _stripes(len(num_chunks), settings.frequency_masks, settings.frequency_mask_mels, mels, generator)
        per_chunk = hidden.to(chunks.device).repeat_interleave(num_chunks.to(chunks.device), dim=0)
        chunks = chunks.masked_fill(per_chunk[:, None, :, None], 0)
    return replace(batch, mel_chunks=replace(batch.mel_chunks, values=chunks))


def hide_modalities(
    batch: Batch, probability: float, generator: torch.Generator, *, modalities: str, always: str = ""
) -> Batch:
    """Modality dropout: hides modalities of utterances, so that the model learns to do without them.

    Each is hidden with one probability, and an utterance keeps at least one that it has. Hidden means that the modality
    is not present: the model leaves it out of its fusion.

    Args:
        batch: Utterances.
        probability: In [0, 1).
        generator: Decides; on the CPU.
        modalities: Letters that the model uses.
        always: Letters that are never hidden.

    Returns:
        A batch where less is present; the one given where there is nothing to do.
    """
    known = {letter: present for letter in MODALITIES if (present := batch.present(letter)) is not None}
    letters = [letter for letter in known if letter in modalities and letter not in always]
    if probability == 0 or not letters:
        return batch
    draws = torch.rand(len(batch), len(letters), generator=generator)
    present = torch.stack([known[letter] for letter in letters], dim=1)
    draws = draws.to(present.device)
    kept = present & (draws >= probability)
    stays = [present for letter, present in known.items() if letter in always]
    bereft = ~torch.stack([kept.any(dim=1), *stays]).any(dim=0)
    # Of those that would lose everything, the modality with the largest draw stays: each is as likely as the others.
    last = torch.where(present, draws, -1).argmax(dim=1)
    rows = torch.arange(len(batch), device=present.device)
    kept[rows, last] |= bereft & present[rows, last]
    for letter, visible in zip(letters, kept.unbind(dim=1), strict=True):
        batch = batch.hidden(letter, ~visible)
    return batch


def _stripes(rows: int, masks: int, widest: int, length: int, generator: torch.Generator) -> Tensor:
    """(rows, length) bool: the union of `masks` random stripes a row."""
    draws = torch.rand(2, rows, masks, 1, generator=generator, device=generator.device)
    width = (draws[0] * (min(widest, length) + 1)).floor()
    start = (draws[1] * (length - width + 1)).floor()
    position = torch.arange(length, device=generator.device)
    return ((position >= start) & (position < start + width)).any(dim=1)
