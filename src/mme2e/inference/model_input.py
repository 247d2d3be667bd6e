"""What a model reads of an observation and a transcript: which modalities it can use, and batches of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mme2e.data.batch import Batch, UtteranceItem, collate
from mme2e.data.tokens import count_tokens, token_ids
from mme2e.errors import UserError
from mme2e.faces.face_crop import FACE_SIZE_PX
from mme2e.media.mel import NUM_MELS
from mme2e.media.mel_statistics import BandStatistics, statistics_of
from mme2e.perception.observation import Observation, Quality
from mme2e.runs.info import RunInfo

MODALITIES = ("text", "acoustic", "visual")

TRAINED_WITHOUT = "the model was trained without it"
"""Why a modality is missing that the run does not read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentInput:
    """What a run reads of one segment of a recording.

    Attributes:
        observation: What was perceived.
        item: What the model takes, on the CPU; what is missing has length 0.
        text: What is said, as the model reads it; None without.
        missing: Some of `MODALITIES` -> why it could not be used.
        notes: Anything else that a reader of the answer should know.
    """

    observation: Observation
    item: UtteranceItem
    text: str | None
    missing: dict[str, str]
    notes: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Those of `MODALITIES` that an answer rests on; none: there is no answer."""
        return tuple(name for name in MODALITIES if name not in self.missing)


def uses(info: RunInfo, modality: str) -> bool:
    """Whether a run reads one of `MODALITIES`."""
    return modality[0] in info.model.modalities


def normalises_over_recording(info: RunInfo) -> bool:
    """Whether the audio around an utterance decides how a run reads the utterance's own."""
    return uses(info, "acoustic") and info.model.audio.normalise == "recording"


def missing_modalities(observation: Observation, text: str | None, info: RunInfo, tokenizer: Any) -> dict[str, str]:
    """Why each modality that cannot be used cannot be.

    Args:
        observation: What was perceived.
        text: What is said; None when not known.
        info: Of the run.
        tokenizer: Of its text encoder; None where it has none.

    Returns:
        Some of `MODALITIES` -> the reason.

    Raises:
        UserError: There is text, and the run reads text but has no tokenizer.
    """
    missing = {note.modality: note.reason for note in observation.notes if note.quality is Quality.MISSING}
    if observation.faces and not observation.frames_with_face:
        missing["visual"] = f"no face in {len(observation.faces)} frames"
    if text is None:
        missing["text"] = "no transcript was given"
    elif uses(info, "text") and tokenizer is None:
        raise UserError("this run has no tokenizer; import it with a --text-model that has one, or give no transcript")
    return missing | {name: TRAINED_WITHOUT for name in MODALITIES if not uses(info, name)}


def tokens_of(text: str, info: RunInfo, tokenizer: Any) -> tuple[Tensor, tuple[str, ...]]:
    """Token ids of a transcript, (tokens,) int64, and a note where it is longer than the run reads."""
    longest = info.model.text.max_length
    tokens = token_ids(tokenizer, text, max_length=longest)
    whole = count_tokens(tokenizer, text) if len(tokens) >= longest else len(tokens)
    cut = (f"text incomplete: {len(tokens)} of the transcript's {whole} tokens were kept",)
    return torch.tensor(tokens, dtype=torch.int64), cut if whole > len(tokens) else ()


def segment_input(
    observation: Observation,
    transcript: str | None,
    info: RunInfo,
    tokenizer: Any,
    *,
    missing: Mapping[str, str] | None = None,
) -> SegmentInput:
    """What a run reads of a segment.

    Args:
        observation: What was perceived.
        transcript: What is said; None or blank when not known.
        info: Of the run.
        tokenizer: Of its text encoder; None where it has none.
        missing: Modality -> why it must not be used, beside what the observation lacks.

    Raises:
        UserError: There is text, and the run reads text but has no tokenizer.
    """
    text = (transcript or "").strip() or None
    lacking = missing_modalities(observation, text, info, tokenizer) | dict(missing or {})
    notes = tuple(str(note) for note in observation.notes if note.quality is not Quality.MISSING)
    tokens = torch.zeros(0, dtype=torch.int64)
    if text is None or "text" in lacking:
        text = None
    else:
        tokens, cut = tokens_of(text, info, tokenizer)
        notes += cut
    crops = torch.zeros(0, 3, FACE_SIZE_PX, FACE_SIZE_PX, dtype=torch.uint8)
    if "visual" not in lacking:
        crops = torch.from_numpy(np.stack([face.crop for face in observation.faces])).permute(0, 3, 1, 2)
    heard = "acoustic" not in lacking
    item = UtteranceItem(
        id="",
        face_crops=crops,
        waveform=torch.from_numpy(observation.samples if heard else observation.samples[:0]),
        audio_context=_audio_context(observation, info),
        tokens=tokens,
        labels=torch.zeros(len(info.label_names)),
    )
    return SegmentInput(observation=observation, item=item, text=text, missing=lacking, notes=notes)


def batch_of(inputs: Sequence[SegmentInput]) -> Batch:
    """Segments side by side, without mel chunks; at least one segment."""
    batch = collate([each.item for each in inputs])
    assert batch.tokens is not None
    return batch if len(batch.tokens.values) else replace(batch, tokens=None)


def _audio_context(observation: Observation, info: RunInfo) -> Tensor | None:
    """(2, 128), see `Batch.audio_context`, zeros where the interval is all that is known; None: no run asks for it."""
    if not normalises_over_recording(info):
        return None
    if observation.surroundings is None:
        return torch.zeros(2, NUM_MELS)
    statistics = (statistics_of(observation.samples), observation.surroundings)
    own, whole = (BandStatistics.unpacked([each]) for each in statistics)
    return own.context_of(whole)[0]
