"""Modality dropout: in training some modalities are hidden, so that the model learns to do without them."""

from dataclasses import replace

import torch

from mme2e.data.batch import Batch

_PRESENCE = ("text_present", "acoustic_present", "visual_present")


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
    names = [
        name
        for name in _PRESENCE
        if name[0] in modalities and name[0] not in always and getattr(batch, name) is not None
    ]
    if probability == 0 or not names:
        return batch
    draws = torch.rand(len(batch), len(names), generator=generator)
    present = torch.stack([getattr(batch, name) for name in names], dim=1)
    draws = draws.to(present.device)
    kept = present & (draws >= probability)
    stays = [getattr(batch, name) for name in _PRESENCE if name[0] in always and getattr(batch, name) is not None]
    bereft = ~torch.stack([kept.any(dim=1), *stays]).any(dim=0)
    # Of those that would lose everything, the modality with the largest draw stays: each is as likely as the others.
    last = torch.where(present, draws, -1).argmax(dim=1)
    rows = torch.arange(len(batch), device=present.device)
    kept[rows, last] |= bereft & present[rows, last]
    flags = dict(zip(names, kept.unbind(dim=1), strict=True))
    return replace(batch, **flags)  # type: ignore[arg-type]  # presence flags, all of them
