import json
from pathlib import Path

import jsonschema
import pytest
from written_timelines import empty, hostile, talk

from mme2e.inference.timeline import Timeline, read_timeline
from mme2e.writers.table import timeline_schema, write_timeline
from mme2e.writers.wording import all_printable

TIMELINES = pytest.mark.parametrize("timeline", [talk(), hostile(), empty()], ids=["talk", "hostile", "empty"])


@TIMELINES
def test_json_fits_its_schema_and_is_read_again(timeline: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_timeline(timeline, path)
    jsonschema.Draft202012Validator.check_schema(timeline_schema())
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), timeline_schema())
    assert read_timeline(path) == all_printable(timeline)


def test_what_is_utf_8_is_kept_as_it_is(tmp_path: Path) -> None:
    assert all_printable(talk()) == talk()
    assert "\\ud83d" in (all_printable(hostile()).segments[6].text or "")


@TIMELINES
def test_json_lines_has_a_line_a_segment(timeline: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_timeline(timeline, path)
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == len(timeline.segments)
    schema = {**timeline_schema(), "$ref": "#/$defs/Segment"}
    for line, segment in zip(lines, timeline.segments, strict=True):
        found = json.loads(line)
        assert found.pop("source") == all_printable(timeline).source
        assert (found.pop("decision"), found.pop("confidence")) == (segment.decision, segment.confidence)
        assert (found["start_s"], found["end_s"]) == (segment.start_s, segment.end_s)
        jsonschema.validate(found, {"$ref": schema["$ref"], "$defs": schema["$defs"]})
