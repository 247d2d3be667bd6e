"""Subtitles with emotions: SRT and WebVTT.

They are written here, not by pysubs2: it takes braces and backslashes of a text for styles and line breaks.
"""

import html
import re
from itertools import groupby

from mme2e.inference.timeline import Segment, Timeline
from mme2e.writers.tiers import Span, name_of, names_of_people, spans_of
from mme2e.writers.wording import answer_text, one_line

_NO_MARKUP = str.maketrans("<>{}", "\u2039\u203a()")
"""SRT has no escape: players take <...> for HTML, many also {...} for styles. Angle quotation marks look alike."""

_FRACTION = re.compile(r"(:\d{1,2})([.,]\d)")
"""Of a time stamp in a text. Lenient readers, pysubs2 among them, take a line with two time stamps for a new cue."""


def srt_bytes(timeline: Timeline) -> bytes:
    """SRT: the text and, in brackets below it, the emotions; a cue a stretch.

    Segments of the same times share a cue. Where segments are about more than one person, each has the name before it.
    """
    names = names_of_people(timeline)
    spans = spans_of(timeline)
    several = len({name_of(span.segment, names) for span in spans}) > 1
    cues = groupby(spans, key=lambda span: (span.start_ms, span.end_ms))
    return "".join(
        f"{number}\n{_times(start, end, ',')}\n"
        + "".join(_srt_lines(span.segment, name_of(span.segment, names) if several else "") for span in together)
        + "\n"
        for number, ((start, end), together) in enumerate(cues, start=1)
    ).encode()


def vtt_bytes(timeline: Timeline) -> bytes:
    """WebVTT: a cue a segment, the person as its voice; text, and in brackets below it the emotions."""
    names = names_of_people(timeline)
    return "".join(
        ["WEBVTT\n\n", *(_vtt_cue(span, name_of(span.segment, names)) for span in spans_of(timeline))]
    ).encode()


def _srt_lines(segment: Segment, name: str) -> str:
    """Emotions come last: a last line of digits would be taken for the number of the next cue."""
    text, answer = one_line(segment.text or ""), f"[{answer_text(segment)}]"
    lines = f"{text}\n{answer}\n" if text else f"{answer}\n"
    return _without_times(f"{name}: {lines}" if name else lines).translate(_NO_MARKUP)


def _vtt_cue(span: Span, name: str) -> str:
    text = one_line(span.segment.text or "")
    lines = [*([text] if text else []), f"[{answer_text(span.segment)}]"]
    payload = html.escape("\n".join(lines), quote=False)
    voice = f"<v {html.escape(name, quote=False)}>{payload}</v>" if name else payload
    return f"{_times(span.start_ms, span.end_ms, '.')}\n{_without_times(voice)}\n\n"


def _without_times(text: str) -> str:
    """The text with an invisible character (the word joiner) in what looks like the time stamp of a cue."""
    return _FRACTION.sub("\\1\u2060\\2", text)


def _times(start_ms: int, end_ms: int, mark: str) -> str:
    return f"{_time(start_ms, mark)} --> {_time(end_ms, mark)}"


def _time(milliseconds: int, mark: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{milliseconds:03}"
