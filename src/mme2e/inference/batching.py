"""The second step of an answer, of many segments in one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mme2e.data.batch import Batch
from mme2e.inference.model_input import SegmentInput, batch_of
from mme2e.inference.selected_sites import SelectedSites, selected_sites

SEGMENTS_AT_A_TIME = 32
"""Bounds the memory of a forward pass: segments of 30 s are 2,000 crops and 2,500 mel chunks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inference:
    """What the model made of an observation.

    Attributes:
        logits: (emotions,).
        batch: What the model read: one utterance, on its device.
        sites: What the stages of MESM kept; None where nobody asked.
        text: What is said, as the model read it; None without.
        missing: Modality -> why it could not be used.
        notes: Anything else that a reader of the answer should know.
    """

    logits: Tensor
    batch: Batch
    sites: SelectedSites | None
    text: str | None
    missing: dict[str, str]
    notes: tuple[str, ...]


@torch.inference_mode()
def infer_segment(model: nn.Module, segment: SegmentInput, device: torch.device, *, trace: bool) -> Inference:
    """What the model says of one segment.

    Args:
        model: In evaluation mode.
        segment: With at least one modality.
        device: The model's.
        trace: Whether to keep what the stages of MESM selected.

    Raises:
        UserError: `trace` is asked of a model that selects nothing.
    """
    batch = batch_of([segment]).to(device).with_mel_chunks()
    sites = selected_sites(model, batch) if trace else None
    logits = model(batch) if sites is None else sites.logits
    return _inference(segment, batch, logits[0], sites)


@torch.inference_mode()
def infer_segments(
    model: nn.Module, segments: Sequence[SegmentInput], device: torch.device, *, answers: Sequence[bool]
) -> list[Inference | None]:
    """What the model says of many segments: what `infer_segment` says of each, `SEGMENTS_AT_A_TIME` side by side.

    The segments may have different modalities.

    Args:
        model: In evaluation mode.
        segments: Any number.
        device: The model's.
        answers: Of each segment, whether the model can say anything of it.

    Returns:
        In the order of the segments; None where there is no answer.
    """
    found: list[Inference | None] = [None] * len(segments)
    able = [number for number, answer in enumerate(answers) if answer]
    for first in range(0, len(able), SEGMENTS_AT_A_TIME):
        group = able[first : first + SEGMENTS_AT_A_TIME]
        batch = batch_of([segments[number] for number in group]).to(device).with_mel_chunks()
        logits = model(batch)
        for row, number in enumerate(group):
            found[number] = _inference(segments[number], batch.select([row]), logits[row], None)
    return found


def _inference(segment: SegmentInput, batch: Batch, logits: Tensor, sites: SelectedSites | None) -> Inference:
    return Inference(
        logits=logits, batch=batch, sites=sites, text=segment.text, missing=segment.missing, notes=segment.notes
    )
