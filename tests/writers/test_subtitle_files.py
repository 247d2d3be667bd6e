import html
import re
from dataclasses import replace
from pathlib import Path

import pysubs2
import pytest
from written_timelines import empty, hostile, talk

from mme2e.inference.timeline import Timeline
from mme2e.writers.table import write_timeline
from mme2e.writers.tiers import spans_of

TIMELINES = pytest.mark.parametrize("timeline", [talk(), hostile(), empty()], ids=["talk", "hostile", "empty"])


def written(timeline: Timeline, path: Path) -> pysubs2.SSAFile:
    write_timeline(timeline, path)
    return pysubs2.load(str(path), encoding="utf-8", format_=path.suffix[1:], keep_html_tags=True)


@TIMELINES
def test_pysubs2_reads_a_cue_for_each_stretch_of_srt(timeline: Timeline, tmp_path: Path) -> None:
    spans = {(span.start_ms, span.end_ms) for span in spans_of(timeline)}
    assert [(cue.start, cue.end) for cue in written(timeline, tmp_path / "out.srt")] == sorted(spans)


@TIMELINES
def test_pysubs2_reads_a_cue_for_each_segment_of_vtt(timeline: Timeline, tmp_path: Path) -> None:
    spans = [(span.start_ms, span.end_ms) for span in spans_of(timeline)]
    assert [(cue.start, cue.end) for cue in written(timeline, tmp_path / "out.vtt")] == spans
    assert (tmp_path / "out.vtt").read_text(encoding="utf-8").startswith("WEBVTT\n\n")


def test_text_emotions_and_names(tmp_path: Path) -> None:
    assert [cue.text.split("\\N") for cue in written(talk(), tmp_path / "out.srt")] == [
        ["Anna: I cannot believe it!", "[happy 0.83, very angry, loud 0.61]"],
        ["[none (very angry, loud 0.30)]"],
        ["person 2: 42", "[uncertain (sad 0.45)]"],
        ["[no answer]"],
    ]
    assert [cue.text.split("\\N") for cue in written(talk(), tmp_path / "out.vtt")] == [
        ["<v Anna>I cannot believe it!", "[happy 0.83, very angry, loud 0.61]</v>"],
        ["[none (very angry, loud 0.30)]"],
        ["<v person 2>42", "[uncertain (sad 0.45)]</v>"],
        ["[no answer]"],
    ]


def test_persons_of_the_same_time_share_a_cue_of_srt(tmp_path: Path) -> None:
    (cue,) = (cue for cue in written(hostile(), tmp_path / "out.srt") if (cue.start, cue.end) == (2000, 3000))
    lines = cue.text.split("\\N")
    assert lines[0] == "Anna (2): [(empty) 0.90]"
    assert lines[-2:] == ["x", "[no answer]"]


def test_a_text_with_two_time_stamps_is_no_cue(tmp_path: Path) -> None:
    segment = replace(talk().segments[0], text="from 00:00:01.000 to 00:00:02,500")
    for suffix in (".srt", ".vtt"):
        (cue,) = written(replace(talk(), segments=(segment,)), tmp_path / f"out{suffix}")
        assert (cue.start, cue.end) == (123, 2500)
        assert "from 00:00:01.000 to 00:00:02,500" in cue.text.replace("\u2060", "")


def test_no_text_becomes_markup_or_a_cue_in_srt(tmp_path: Path) -> None:
    write_timeline(hostile(), tmp_path / "out.srt")
    for block in (tmp_path / "out.srt").read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n"):
        number, times, *lines = block.split("\n")
        assert number.isdecimal()
        assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", times)
        assert lines
        assert not set("<>{}") & set("".join(lines))
        assert lines[-1].endswith("]")


def test_no_text_becomes_markup_or_a_cue_in_vtt(tmp_path: Path) -> None:
    write_timeline(hostile(), tmp_path / "out.vtt")
    head, *blocks = (tmp_path / "out.vtt").read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")
    assert head == "WEBVTT"
    for block in blocks:
        times, payload = block.split("\n", 1)
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", times)
        assert re.fullmatch(r"(<v [^<>]+>)?[^<>]+(</v>)?", payload)
        assert not re.search(r"&(?!amp;|lt;|gt;)", payload)
    evil = html.unescape(blocks[0])
    assert "<script>alert('1')</script> & <b>x</b> {\\an8}" in evil
    assert "&amp;" in evil
