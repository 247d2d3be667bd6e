"""JSON: the whole timeline, as `read_timeline` reads it, or a line a segment."""

from mme2e.inference.timeline import Timeline
from mme2e.records import plain, to_json


def json_bytes(timeline: Timeline) -> bytes:
    """The whole timeline; `Timeline.schema()` describes it."""
    return timeline.to_json().encode()


def json_lines_bytes(timeline: Timeline) -> bytes:
    """A line a segment: source, what `Segment` has, decision and confidence; nothing for a timeline without any."""
    lines = (
        {"source": timeline.source, **plain(segment), "decision": segment.decision, "confidence": segment.confidence}
        for segment in timeline.segments
    )
    return "".join(to_json(line, indent=None) for line in lines).encode()
