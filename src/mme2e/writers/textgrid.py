"""Praat's TextGrid (the long text format, in UTF-8): for each person a tier of emotions, of text and of confidence."""

import re
from collections.abc import Callable, Iterable

from mme2e.inference.timeline import Segment, Timeline
from mme2e.writers.tiers import Tier, decimal_seconds, milliseconds, tiers_of
from mme2e.writers.wording import decision_text, one_line

_CONTENTS: dict[str, Callable[[Segment], str]] = {
    "emotion": decision_text,
    "text": lambda segment: one_line(segment.text or ""),
    "confidence": lambda segment: "" if segment.confidence is None else f"{segment.confidence:.3f}",
}
_STRUCTURE = re.compile(r"(item|class|intervals|points|ooTextFile)(?= ?\[| ?=| short)")
"""In a label: Praat reads it as text, but praatio looks for these words without regard to quotes."""

_Interval = tuple[int, int, str]
"""Start and end in milliseconds, and the label."""


def textgrid_bytes(timeline: Timeline) -> bytes:
    """The TextGrid from 0 to the end of the recording, or of the last segment where that is later.

    Intervals fill each tier, with empty labels where nothing is; a tier without any label is left out. Praat needs one
    tier at least: a timeline without segments has an empty one.
    """
    tiers = tiers_of(timeline)
    ends = (span.end_ms for tier in tiers for span in tier.spans)
    end = max(milliseconds(timeline.duration_s), 1, *ends)
    filled = [
        (f"{content}@{tier.name}", _filled(tier, label_of, end))
        for tier in tiers
        for content, label_of in _CONTENTS.items()
    ]
    named = [(name, intervals) for name, intervals in filled if any(label for _, _, label in intervals)]
    named = named or [("emotion", [(0, end, "")])]
    head = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {decimal_seconds(end)}",
        "tiers? <exists>",
        f"size = {len(named)}",
        "item []:",
    ]
    items = (line for number, (name, intervals) in enumerate(named, 1) for line in _item(number, name, intervals, end))
    return ("\n".join([*head, *items]) + "\n").encode()


def _filled(tier: Tier, label_of: Callable[[Segment], str], end: int) -> list[_Interval]:
    """The tier's intervals, and empty ones between them."""
    intervals: list[_Interval] = []
    before = 0
    for span in tier.spans:
        if span.start_ms > before:
            intervals.append((before, span.start_ms, ""))
        intervals.append((span.start_ms, span.end_ms, label_of(span.segment)))
        before = span.end_ms
    return intervals if before >= end else [*intervals, (before, end, "")]


def _item(number: int, name: str, intervals: list[_Interval], end: int) -> Iterable[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(name)}"
    yield "        xmin = 0"
    yield f"        xmax = {decimal_seconds(end)}"
    yield f"        intervals: size = {len(intervals)}"
    for index, (start, stop, label) in enumerate(intervals, 1):
        yield f"        intervals [{index}]:"
        yield f"            xmin = {decimal_seconds(start)}"
        yield f"            xmax = {decimal_seconds(stop)}"
        yield f"            text = {_quoted(label)}"


def _quoted(text: str) -> str:
    """In quotes, with an invisible character (the word joiner) behind what looks like a part of the format."""
    return '"' + _STRUCTURE.sub("\\1\u2060", text).replace('"', '""') + '"'
