"""Where answers begin and end: at the sentences of a transcript, where speech does, in windows."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mme2e.config import AnalysisSettings
from mme2e.inference.streams import TILE_S, AudioStream, FaceStream
from mme2e.inference.timeline import SegmentKind
from mme2e.transcripts.cues import Cue
from mme2e.voice.activity import VoiceActivity
from mme2e.voice.segmenter import SpeechSegmenter, Stretch

SHORTEST_GAP_S = 1.0
"""Between two stretches of speech; shorter pauses have no answer of their own."""

LEAST_WINDOW = 0.1
"""Part of a window that must be left of the recording for a last, shorter one: codecs fill up their last frame."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A segment that is to be answered.

    Attributes:
        start_s: Its start, seconds.
        end_s: Its end.
        kind: How it came about.
        text: What is said; None where not known.
        speaker: Name in the transcript; empty where it gives none.
    """

    start_s: float
    end_s: float
    kind: SegmentKind
    text: str | None = None
    speaker: str = ""


def plan(
    settings: AnalysisSettings,
    audio: AudioStream,
    faces: FaceStream,
    cues: Sequence[Cue],
    recognise: Callable[[np.ndarray, float], str | None] | None,
    start_s: float,
    end_s: float | None,
) -> Iterator[Planned]:
    """Segments in the order of their starts, each as soon as it is known.

    Args:
        settings: How to cut.
        audio: Is read as far as it takes.
        faces: The same; only to know where the video ends after the audio has.
        cues: Sentences with times, in order; empty without a transcript.
        recognise: Speech recognition: what is said in samples that begin at a time; None where nobody asked.
        start_s: Where to start.
        end_s: Where to end; None: with the longer one of the tracks.
    """
    if settings.segments == "window":
        segments = _windows(settings.window_s, settings.hop_s, "window", audio, faces, start_s, end_s)
        yield from (with_words(segment, cues) for segment in segments)
    elif settings.segments == "auto" and cues:
        yield from _sentences(settings, audio, faces, cues, start_s, end_s)
    else:
        for segment in _speech(settings, audio, faces, start_s, end_s):
            if segment.kind == "speech" and recognise is not None:
                text = recognise(audio.samples(segment.start_s, segment.end_s), segment.start_s)
                segment = replace(segment, text=text)
            yield with_words(segment, cues) if cues else segment


def is_given(settings: AnalysisSettings, cues: Sequence[Cue]) -> bool:
    """Whether the segments do not depend on what is heard, so that each is the same wherever the reading began."""
    return settings.segments == "window" or (settings.segments == "auto" and bool(cues))


def with_words(segment: Planned, cues: Sequence[Cue]) -> Planned:
    """The segment with the words that are said in it: of a sentence, those whose middle is inside."""
    words, speakers = [], []
    for cue in cues:
        assert cue.start_s is not None
        assert cue.end_s is not None
        if cue.start_s >= segment.end_s or cue.end_s <= segment.start_s:
            continue
        timed = [(word.text, (word.start_s + word.end_s) / 2) for word in cue.words]
        if not timed:
            split = cue.text.split()
            length_s = (cue.end_s - cue.start_s) / max(1, len(split))
            timed = [(word, cue.start_s + (place + 0.5) * length_s) for place, word in enumerate(split)]
        inside = [word.strip() for word, middle_s in timed if segment.start_s <= middle_s < segment.end_s]
        words += inside
        speakers += [cue.speaker] * bool(inside)
    if not words:
        return segment
    names = list(dict.fromkeys(filter(None, speakers)))
    return replace(segment, text=" ".join(words), speaker=names[0] if len(names) == 1 else "")


def _sentences(
    settings: AnalysisSettings,
    audio: AudioStream,
    faces: FaceStream,
    cues: Sequence[Cue],
    start_s: float,
    end_s: float | None,
) -> Iterator[Planned]:
    reached_s = start_s
    for cue in cues:
        assert cue.start_s is not None
        assert cue.end_s is not None
        cue_end_s = cue.end_s if end_s is None else min(cue.end_s, end_s)
        cue_start_s = max(cue.start_s, start_s)
        if cue_end_s <= cue_start_s:
            continue
        if cue_start_s - reached_s >= SHORTEST_GAP_S:
            for piece in _pieces(reached_s, cue_start_s, settings.window_s):
                if _end_of_recording(audio, faces, piece.end_s) is not None:
                    yield from _to_the_end(settings, audio, faces, piece.start_s, end_s)
                    return
                yield piece
        ended_s = _end_of_recording(audio, faces, cue_end_s)
        if ended_s is not None:
            cue_end_s = min(cue_end_s, ended_s)
        if cue_end_s <= cue_start_s:
            break
        planned = Planned(start_s=cue_start_s, end_s=cue_end_s, kind="speech", text=cue.text, speaker=cue.speaker)
        if cue_start_s > cue.start_s or cue_end_s < cue.end_s:  # of a sentence that is cut, the words that are left
            planned = replace(with_words(replace(planned, text=None), [cue]), speaker=cue.speaker)
        yield planned
        reached_s = max(reached_s, cue_end_s)
    yield from _to_the_end(settings, audio, faces, reached_s, end_s)


def _speech(
    settings: AnalysisSettings, audio: AudioStream, faces: FaceStream, start_s: float, end_s: float | None
) -> Iterator[Planned]:
    activity = VoiceActivity()
    segmenter = SpeechSegmenter(shortest_s=settings.shortest_s, longest_s=settings.longest_s)
    heard_s = start_s
    audio.read_to(start_s + TILE_S)
    while audio.missing is None or audio.end_s is None or heard_s < audio.end_s:
        audio.read_to(heard_s + TILE_S)
        until_s = min(heard_s + TILE_S, audio.reached_s if audio.end_s is None else audio.end_s)
        if until_s <= heard_s:
            break
        for stretch in segmenter.add(activity.add(audio.samples(heard_s, until_s))):
            yield from _planned(stretch, start_s, settings)
        heard_s = until_s
    if heard_s > start_s:
        for stretch in [*segmenter.add(activity.finish()), *segmenter.finish(heard_s - start_s)]:
            yield from _planned(stretch, start_s, settings)
    yield from _to_the_end(settings, audio, faces, heard_s, end_s)


def _planned(stretch: Stretch, offset_s: float, settings: AnalysisSettings) -> Iterator[Planned]:
    first_s, last_s = offset_s + stretch.start_s, offset_s + stretch.end_s
    if stretch.speech:
        yield Planned(start_s=first_s, end_s=last_s, kind="speech")
    elif last_s - first_s >= SHORTEST_GAP_S:
        yield from _pieces(first_s, last_s, settings.window_s)


def _to_the_end(
    settings: AnalysisSettings, audio: AudioStream, faces: FaceStream, reached_s: float, end_s: float | None
) -> Iterator[Planned]:
    """What is left after the last sentence or the end of the audio: nobody speaks there."""
    for piece in _windows(settings.window_s, settings.window_s, "no speech", audio, faces, reached_s, end_s):
        if piece.end_s - piece.start_s >= min(SHORTEST_GAP_S, settings.window_s):
            yield piece


def _pieces(start_s: float, end_s: float, longest_s: float) -> Iterator[Planned]:
    """A stretch in which nobody speaks, in pieces of equal length."""
    count = max(1, math.ceil((end_s - start_s) / longest_s - 1e-9))
    for number in range(count):  # one by one: the end of a gap may be claimed
        first_s = start_s + (end_s - start_s) * number / count
        last_s = start_s + (end_s - start_s) * (number + 1) / count
        yield Planned(start_s=first_s, end_s=last_s, kind="no speech")


def _windows(
    window_s: float,
    hop_s: float,
    kind: SegmentKind,
    audio: AudioStream,
    faces: FaceStream,
    start_s: float,
    end_s: float | None,
) -> Iterator[Planned]:
    """Windows of equal length to the end of the recording; the last one may be shorter."""
    number = 0
    while True:
        first_s = start_s + number * hop_s
        last_s = first_s + window_s if end_s is None else min(first_s + window_s, end_s)
        ended_s = _end_of_recording(audio, faces, last_s)
        if ended_s is not None:
            last_s = min(last_s, ended_s)
        if last_s - first_s <= (window_s * LEAST_WINDOW if number else 1e-9):
            return
        yield Planned(start_s=first_s, end_s=last_s, kind=kind)
        if ended_s is not None or (end_s is not None and last_s >= end_s):
            return
        number += 1


def _end_of_recording(audio: AudioStream, faces: FaceStream, time_s: float) -> float | None:
    """Where the recording ends, if it does not reach a time; else None."""
    audio.read_to(time_s)
    if audio.end_s is None or audio.end_s >= time_s:
        return None
    faces.read_to(time_s)
    if faces.end_s is None or faces.end_s >= time_s:
        return None
    return max(audio.end_s, faces.end_s)
