"""From what a reader finds in a file to a transcript: markup removed, impossible times left out, all in order."""

import html
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from mme2e.text_files import printable
from mme2e.transcripts.cues import Cue, Transcript

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.,]*>|\{\\[^{}]*\}")
"""HTML as subtitles contain it, times within WebVTT, overrides of ASS; not "<3" or "a < b"."""


@dataclass
class Found:
    """What a reader finds.

    Attributes:
        cues: Each with its place in the file, for people: "subtitle 3 (line 9)".
        remarks: What it could not use.
    """

    cues: list[tuple[str, Cue]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def plain_text(marked: str) -> str:
    """Text of a subtitle in one line, without tags and with characters for their names (`&amp;`)."""
    return one_line(html.unescape(_TAG.sub("", marked)))


def one_line(text: str) -> str:
    """The text with single spaces, and none at its ends; it can be written (see `printable`)."""
    return " ".join(printable(text).split())


def tidied(found: Found, source: str) -> Transcript:
    """A transcript of what a reader found.

    Cues without text are left out. So are those with impossible times: negative or not finite ones, an end that is not
    behind the start. Cues are sorted by time, and overlaps are kept; remarks say where any of this was so.
    """
    remarks = [*found.remarks]
    cues = [(place, cue) for place, cue in found.cues if cue.text.strip()]
    impossible = [place for place, cue in cues if not _is_possible(cue)]
    remarks += _remark("negative times, or an end that is not behind the start: left out", impossible)
    cues = [(place, cue) for place, cue in cues if _is_possible(cue)]
    late = [place for (_, before), (place, cue) in pairwise(cues) if _start(cue) < _start(before)]
    remarks += _remark("begins before the one that it follows: sorted by time", late)
    cues.sort(key=lambda each: _start(each[1]))
    remarks += _remark("overlaps the one before", _overlapping(cues))
    return Transcript(
        cues=tuple(cue for _, cue in cues), source=printable(source), remarks=tuple(map(printable, remarks))
    )


def with_speaker(cue: Cue, speaker: str) -> Cue:
    """The same, said by somebody."""
    return replace(cue, speaker=one_line(speaker))


def _start(cue: Cue) -> float:
    return 0.0 if cue.start_s is None else cue.start_s


def _is_possible(cue: Cue) -> bool:
    if cue.start_s is None or cue.end_s is None:
        return True
    return math.isfinite(cue.end_s) and 0 <= cue.start_s < cue.end_s


def _overlapping(cues: Iterable[tuple[str, Cue]]) -> list[str]:
    """Places of cues that begin before another one of the same speaker has ended."""
    ends: dict[str, float] = defaultdict(float)
    places = []
    for place, cue in cues:
        if cue.start_s is not None and cue.end_s is not None:
            if cue.start_s < ends[cue.speaker] - 1e-6:
                places.append(place)
            ends[cue.speaker] = max(ends[cue.speaker], cue.end_s)
    return places


def _remark(what: str, places: list[str]) -> list[str]:
    if not places:
        return []
    others = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return [f"{places[0]}{others}: {what}"]
