"""Evidence for the answers about segments: each modality's share, words, and the moments that mattered most."""

import re
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mme2e.inference.evidence.images import face_image, kept_shares, mel_image_png, mel_images
from mme2e.inference.evidence.occlusion import Hiding, Occlusion
from mme2e.inference.model_input import SegmentInput
from mme2e.inference.recognizer import Recognizer
from mme2e.inference.timeline import Evidence, Moment, WordEffect
from mme2e.media.audio import SAMPLE_RATE_HZ
from mme2e.media.mel import CHUNK_SAMPLES

MOST_WORDS = 40
"""Longer texts are hidden in so many groups of neighbouring words, which bounds the cost."""

MOMENTS = 3
"""Of each modality."""

SEGMENTS_AT_A_TIME = 8
"""Bounds the memory."""

CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE_HZ


def evidence_of(
    recognizer: Recognizer, segments: Sequence[SegmentInput], *, moments: int = MOMENTS, reselect: bool = False
) -> list[Evidence | None]:
    """Evidence of many segments. Threads may ask side by side.

    Each effect is the probability of the segment's most probable emotion with everything, minus that with one thing
    hidden; see `mme2e.inference.evidence.occlusion`. What is hidden one by one need not add up.

    Args:
        recognizer: Of a run that reads recordings.
        segments: Of `Recognizer.read`.
        moments: How many face crops and how many mel chunks become moments, those with the largest effect; 0 or more.
        reselect: Whether MESM selects its sites anew for the text without a word: exact, at a forward pass a word;
            the effects of both correlate at 0.97 (benchmarks/results/evidence.md).

    Returns:
        In the order of the segments; None for those of which the recognizer `can_answer` nothing.

    Raises:
        UserError: The run reads hand-crafted features.
        ValueError: `moments` is negative.
    """
    if moments < 0:
        raise ValueError(f"moments must be 0 or more, not {moments}")
    recognizer.require_recordings()
    found: list[Evidence | None] = [None] * len(segments)
    able = [number for number, segment in enumerate(segments) if recognizer.can_answer(segment)]
    for first in range(0, len(able), SEGMENTS_AT_A_TIME):
        group = able[first : first + SEGMENTS_AT_A_TIME]
        occlusion = Occlusion(recognizer, [segments[number] for number in group], reselect=reselect)
        for number, evidence in zip(group, _of_group(recognizer, occlusion, moments), strict=True):
            found[number] = evidence
    return found


def split_words(text: str, most: int = MOST_WORDS) -> list[tuple[str, str]]:
    """The words of a text, or groups of neighbouring ones where there are too many.

    Args:
        text: The text; words are what white space separates.
        most: Most groups, at least one.

    Returns:
        For each group, in order: it as it was written, and the text without it.
    """
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    groups = np.array_split(np.arange(len(spans)), min(most, len(spans))) if spans else []
    ends = [(spans[group[0]][0], spans[group[-1]][1]) for group in groups]
    return [(text[first:end], f"{text[:first].rstrip()} {text[end:].lstrip()}".strip()) for first, end in ends]


def _of_group(recognizer: Recognizer, occlusion: Occlusion, moments: int) -> list[Evidence]:
    segments = occlusion.segments
    asked: list[tuple[Hiding, tuple[str, int]]] = []
    words = [split_words(segment.text or "") for segment in segments]
    for number, segment in enumerate(segments):
        asked.append((Hiding(segment=number), ("all", 0)))
        asked += [(Hiding(segment=number, modalities=frozenset({name})), (name, -1)) for name in segment.used]
        asked += [(Hiding(segment=number, text=rest), ("text", place)) for place, (_, rest) in enumerate(words[number])]
        for name in ("visual", "acoustic") if moments else ():
            asked += [
                (Hiding(segment=number, **{name: frozenset({step})}), (name, step))  # type: ignore[arg-type]
                for step in range(occlusion.size(number, name))
            ]
    asked = [(hiding, part) for hiding, part in asked if occlusion.can_answer(hiding)]
    probabilities = occlusion.probabilities([hiding for hiding, _ in asked])
    rows: list[dict[tuple[str, int], Tensor]] = [{} for _ in segments]
    for (hiding, part), row in zip(asked, probabilities, strict=True):
        rows[hiding.segment][part] = row
    return [
        _evidence(recognizer, occlusion, number, segments[number], words[number], rows[number], moments)
        for number in range(len(segments))
    ]


def _evidence(
    recognizer: Recognizer,
    occlusion: Occlusion,
    number: int,
    segment: SegmentInput,
    words: Sequence[tuple[str, str]],
    rows: dict[tuple[str, int], Tensor],
    moments: int,
) -> Evidence:
    top = int(rows["all", 0].argmax())
    probabilities = {part: float(row[top]) for part, row in rows.items()}
    everything = probabilities["all", 0]
    effects = {part: max(-1.0, min(1.0, everything - left)) for part, left in probabilities.items()}
    return Evidence(
        emotion=recognizer.info.label_names[top],
        probability=everything,
        without={name: probabilities[name, -1] for name in segment.used if (name, -1) in probabilities},
        words=tuple(WordEffect(text=word, effect=effects["text", place]) for place, (word, _) in enumerate(words)),
        moments=tuple(
            sorted(
                (
                    *_face_moments(occlusion, number, segment, _largest(effects, "visual", moments), recognizer),
                    *_audio_moments(occlusion, number, segment, _largest(effects, "acoustic", moments)),
                ),
                key=lambda moment: -abs(moment.effect),
            )
        ),
    )


def _largest(effects: dict[tuple[str, int], float], modality: str, most: int) -> list[tuple[int, float]]:
    """Numbers and effects of the crops or chunks with the largest effect, for or against the emotion."""
    found = [(step, effect) for (name, step), effect in effects.items() if name == modality and step >= 0]
    return sorted(found, key=lambda each: -abs(each[1]))[:most]


def _face_moments(
    occlusion: Occlusion,
    number: int,
    segment: SegmentInput,
    chosen: Sequence[tuple[int, float]],
    recognizer: Recognizer,
) -> list[Moment]:
    found = []
    before = sum(occlusion.size(other, "visual") for other in range(number))
    for step, effect in chosen:
        face = segment.observation.faces[step]
        end_s = face.time_s + recognizer.info.frame_interval_ms / 1000
        sites = None if occlusion.visual is None else kept_shares(occlusion.visual, before + step)
        found.append(
            Moment(
                modality="visual",
                start_s=face.time_s,
                end_s=max(face.time_s, min(end_s, segment.observation.end_s)),
                effect=effect,
                image=face_image(face.crop),
                sites=_rows(sites),
            )
        )
    return found


def _audio_moments(
    occlusion: Occlusion, number: int, segment: SegmentInput, chosen: Sequence[tuple[int, float]]
) -> list[Moment]:
    chunks = occlusion.batch.mel_chunks
    if not chosen or chunks is None:
        return []
    images = mel_images(chunks.split()[number].cpu().numpy())
    start_s = segment.observation.start_s
    heard_to_s = start_s + len(segment.observation.samples) / SAMPLE_RATE_HZ
    before = sum(occlusion.size(other, "acoustic") for other in range(number))
    found = []
    for step, effect in chosen:
        sites = None if occlusion.acoustic is None else kept_shares(occlusion.acoustic, before + step)[::-1]
        begin_s = min(start_s + step * CHUNK_S, heard_to_s)
        found.append(
            Moment(
                modality="acoustic",
                start_s=begin_s,
                end_s=min(begin_s + CHUNK_S, heard_to_s),
                effect=effect,
                image=mel_image_png(images[step]),
                sites=_rows(sites),  # the lowest band last, as in the image
            )
        )
    return found


def _rows(sites: np.ndarray | None) -> tuple[tuple[float, ...], ...]:
    return () if sites is None else tuple(tuple(row) for row in np.round(sites, 2).tolist())
