"""What a model reads of an observation and a transcript: which modalities it can use, and the batch of them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mme2e.data.batch import Batch, UtteranceItem, collate
from mme2e.data.tokens import count_tokens, token_ids
from mme2e.errors import UserError
from mme2e.faces.face_crop import FACE_SIZE_PX
from mme2e.media.mel_statistics import BandStatistics, statistics_of
from mme2e.perception.observation import Observation, Quality
from mme2e.runs.info import RunInfo

MODALITIES = ("text", "acoustic", "visual")


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
    return missing | {name: "the model was trained without it" for name in MODALITIES if not uses(info, name)}


def tokens_of(text: str, info: RunInfo, tokenizer: Any) -> tuple[Tensor, tuple[str, ...]]:
    """Token ids of a transcript, (tokens,) int64, and a note where it is longer than the run reads."""
    longest = info.model.text.max_length
    tokens = token_ids(tokenizer, text, max_length=longest)
    whole = count_tokens(tokenizer, text) if len(tokens) >= longest else len(tokens)
    cut = (f"text incomplete: {len(tokens)} of the transcript's {whole} tokens were kept",)
    return torch.tensor(tokens, dtype=torch.int64), cut if whole > len(tokens) else ()


def batch_of(observation: Observation, tokens: Tensor | None, missing: dict[str, str], info: RunInfo) -> Batch:
    """The utterance as a batch of one, without mel chunks.

    Args:
        observation: What was perceived.
        tokens: Of `tokens_of`; None without text.
        missing: Of `missing_modalities`.
        info: Of the run.
    """
    crops = torch.zeros(0, 3, FACE_SIZE_PX, FACE_SIZE_PX, dtype=torch.uint8)
    if "visual" not in missing:
        crops = torch.from_numpy(np.stack([face.crop for face in observation.faces])).permute(0, 3, 1, 2)
    item = UtteranceItem(
        id="",
        face_crops=crops,
        waveform=torch.from_numpy(observation.samples),
        audio_context=_audio_context(observation, info),
        tokens=tokens,
        labels=torch.zeros(len(info.label_names)),
    )
    return collate([item])


def _audio_context(observation: Observation, info: RunInfo) -> Tensor | None:
    """(2, 128), see `Batch.audio_context`; None where the interval is all that is known."""
    if not normalises_over_recording(info) or observation.surroundings is None:
        return None
    statistics = (statistics_of(observation.samples), observation.surroundings)
    own, whole = (BandStatistics.unpacked([each]) for each in statistics)
    return own.context_of(whole)[0]
