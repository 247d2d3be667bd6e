"""Modality dropout: in training some modalities are hidden, so that the model learns to do without them."""

import torch

from mme2e.config import MODALITIES
from mme2e.data.batch import Batch


def hide_modalities(
    batch: Batch, probability: float, generator: torch.Generator, *, modalities: str, always: str = ""
) -> Batch:
    """Hides each modality of each utterance with one probability; an utterance keeps at least one that it has.

    Hidden means that the presence flag becomes false: the model leaves the modality out of its fusion.

    Args:
        batch: Utterances.
        probability: In [0, 1).
        generator: Decides; on the CPU.
        modalities: Letters that the model uses.
        always: Letters that are never hidden.

    Returns:
        A batch with other presence flags; the one given where there is nothing to do.
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
