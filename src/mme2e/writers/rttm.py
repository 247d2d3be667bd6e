"""RTTM (NIST's Rich Transcription Time Marked): who speaks when. Emotions have no place in it."""

from pathlib import PurePath

from mme2e.inference.timeline import Segment, Timeline
from mme2e.writers.tiers import decimal_seconds, name_of, names_of_people, spans_of
from mme2e.writers.wording import one_line

UNKNOWN = "unknown"
"""Name of a speaker of whom neither a name nor a face is known."""


def rttm_bytes(timeline: Timeline) -> bytes:
    """A SPEAKER line a turn: a segment of speech. Others, and windows of equal length, are no turns.

    The last field but one is how sure the choice of the person is. In a timeline of every person, only the speaker that
    transcript or turns name counts.
    """
    names = names_of_people(timeline)
    recording = _word(PurePath(timeline.source).stem)
    lines = []
    for span in spans_of(timeline):
        if span.segment.kind == "speech":
            start, length = decimal_seconds(span.start_ms), decimal_seconds(span.end_ms - span.start_ms)
            name, sure = _speaker(span.segment, names), _confidence(span.segment)
            lines.append(f"SPEAKER {recording} 1 {start} {length} <NA> <NA> {name} {sure} <NA>\n")
    return "".join(dict.fromkeys(lines)).encode()


def _speaker(segment: Segment, names: dict[str, str]) -> str:
    if segment.chosen_by == "asked":
        return _word(segment.speaker)
    return _word(name_of(segment, names))


def _confidence(segment: Segment) -> str:
    unsure = segment.choice_confidence is None or segment.chosen_by == "asked"
    return "<NA>" if unsure else f"{segment.choice_confidence:.3f}"


def _word(text: str) -> str:
    """Without white space, which separates fields."""
    return one_line(text).replace(" ", "_") or UNKNOWN
