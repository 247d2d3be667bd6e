"""Who each segment is about, and the segments of each as tiers in whole milliseconds."""

from collections import Counter
from dataclasses import dataclass

from mme2e.inference.timeline import Segment, Timeline
from mme2e.writers.wording import one_line

LAST_MS = 2**32 - 1
"""The latest time that ELAN's format can hold: 49 days."""

NOBODY = "no person"
"""Name of the tier of segments that are about nobody."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A segment with its times as files hold them.

    Attributes:
        start_ms: Milliseconds from the start of the recording, not negative.
        end_ms: At least one millisecond later: neither Praat nor ELAN know intervals without a length.
        segment: What is there.
    """

    start_ms: int
    end_ms: int
    segment: Segment


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Spans that do not overlap.

    Attributes:
        name: That no other tier has; in one line, not empty.
        person: Name of the person, which several tiers share where segments overlap; empty for nobody.
        spans: In the order of time; at least one.
    """

    name: str
    person: str
    spans: tuple[Span, ...]


def milliseconds(seconds: float) -> int:
    """Whole milliseconds from 0 to `LAST_MS`; 0 for what is not a number."""
    if not seconds > 0:
        return 0
    return round(min(seconds * 1000, LAST_MS))


def decimal_seconds(milliseconds: int) -> str:
    """Seconds with three decimals, without the rounding of a binary fraction."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"


def spans_of(timeline: Timeline) -> list[Span]:
    """All segments in the order of time, each at least one millisecond long."""
    spans = []
    for segment in timeline.segments:
        start = min(milliseconds(segment.start_s), LAST_MS - 1)
        spans.append(Span(start_ms=start, end_ms=max(milliseconds(segment.end_s), start + 1), segment=segment))
    return sorted(spans, key=lambda span: (span.start_ms, span.end_ms))


def names_of_people(timeline: Timeline) -> dict[str, str]:
    """Id of a person -> their name, or the id of those without one; with the id behind a name that several have."""
    names = {segment.person: "" for segment in timeline.segments if segment.person is not None}
    names |= {person.id: one_line(person.name) for person in timeline.people}
    frequency = Counter(names.values())
    taken: set[str] = set()
    for person, name in names.items():
        shown = one_line(person) or "person"
        if name:
            shown = f"{name} ({shown})" if frequency[name] > 1 else name
        names[person] = unused(shown, taken)
    return names


def name_of(segment: Segment, names: dict[str, str]) -> str:
    """The person that a segment is about, else its speaker; empty where neither is known."""
    return names[segment.person] if segment.person is not None else one_line(segment.speaker)


def tiers_of(timeline: Timeline) -> list[Tier]:
    """The tiers of each person, in the order of their first segments.

    A person has one tier; where segments overlap, as sliding windows do, as many as it takes. Segments that are about
    nobody have tiers of their own.
    """
    names = names_of_people(timeline)
    layers: dict[str, list[list[Span]]] = {}
    for span in spans_of(timeline):
        of_person = layers.setdefault(name_of(span.segment, names), [])
        free = next((layer for layer in of_person if layer[-1].end_ms <= span.start_ms), None)
        if free is None:
            of_person.append(free := [])
        free.append(span)
    taken: set[str] = set()
    firsts = {name: unused(name or NOBODY, taken) for name in sorted(layers, key=lambda name: not name)}
    return [
        Tier(name=unused(firsts[name], taken) if depth else firsts[name], person=name, spans=tuple(layer))
        for name, of_person in layers.items()
        for depth, layer in enumerate(of_person)
    ]


def unused(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken; it is taken from now on."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name} ({number})", number + 1
    taken.add(found)
    return found
