from dataclasses import replace
from pathlib import Path

import pytest
from praatio import textgrid
from written_timelines import empty, hostile, talk

from mme2e.inference.timeline import Timeline
from mme2e.writers.table import write_timeline
from mme2e.writers.tiers import tiers_of
from mme2e.writers.wording import all_printable, decision_text, one_line

TIMELINES = pytest.mark.parametrize("timeline", [talk(), hostile(), empty()], ids=["talk", "hostile", "empty"])


def written(timeline: Timeline, path: Path) -> textgrid.Textgrid:
    write_timeline(timeline, path)
    return textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")


@TIMELINES
def test_intervals_fill_each_tier_without_overlaps(timeline: Timeline, tmp_path: Path) -> None:
    grid = written(timeline, tmp_path / "out.TextGrid")
    end = max(timeline.duration_s, 0.001, *(segment.end_s for segment in timeline.segments))
    assert (grid.minTimestamp, grid.maxTimestamp) == (0, end)
    assert grid.tiers
    for tier in grid.tiers:
        assert (tier.entries[0].start, tier.entries[-1].end) == (0, end)
        assert all(before.end == after.start for before, after in zip(tier.entries, tier.entries[1:], strict=False))
        assert all(interval.start < interval.end for interval in tier.entries)
        assert grid.validate(reportingMode="error")


@TIMELINES
def test_each_segment_is_an_interval_with_its_decision_and_text(timeline: Timeline, tmp_path: Path) -> None:
    grid = written(timeline, tmp_path / "out.TextGrid")
    for tier in tiers_of(all_printable(timeline)):
        for content, label_of in (("emotion", decision_text), ("text", lambda each: one_line(each.text or ""))):
            name = f"{content}@{tier.name}"
            found = {tuple(each) for each in grid.getTier(name).entries} if name in grid.tierNames else set()
            labelled = [(span.start_ms / 1000, span.end_ms / 1000, label_of(span.segment)) for span in tier.spans]
            assert {each for each in labelled if each[-1]} <= found


def test_the_tiers_of_a_talk(tmp_path: Path) -> None:
    grid = written(talk(), tmp_path / "out.TextGrid")
    assert grid.tierNames == (
        *("emotion@Anna", "text@Anna", "confidence@Anna", "emotion@no person", "confidence@no person"),
        *("emotion@person 2", "text@person 2", "confidence@person 2"),
    )
    assert [tuple(each) for each in grid.getTier("confidence@Anna").entries] == [
        *((0.0, 0.123, ""), (0.123, 2.5, "0.830"), (2.5, 7.5, ""))
    ]


def test_quotes_are_doubled(tmp_path: Path) -> None:
    write_timeline(hostile(), tmp_path / "out.TextGrid")
    lines = (tmp_path / "out.TextGrid").read_text(encoding="utf-8").splitlines()
    texts = [line.split(" = ", 1)[1] for line in lines if line.lstrip().startswith(("text = ", "name = "))]
    assert any('""quoted""' in text for text in texts)
    assert all(text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', "") for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        *('item [1]: class = "IntervalTier"', 'class = "TextTier"', "points [1]:", "intervals: size = 3"),
        *(
            "intervals [1]: xmin = 3",
            'xmin = 5 "text = " ""',
            'text = "',
            "File type = ooTextFile short",
            "!",
            "<exists>",
        ),
    ],
)
def test_a_text_that_looks_like_the_format_is_a_label(text: str, tmp_path: Path) -> None:
    segment = replace(talk().segments[0], text=text, person=None, speaker=text)
    grid = written(replace(talk(), segments=(segment,)), tmp_path / "out.TextGrid")
    assert [name.replace("\u2060", "") for name in grid.tierNames] == [
        *(f"emotion@{text}", f"text@{text}", f"confidence@{text}")
    ]
    assert [interval.label.replace("\u2060", "") for interval in grid.tiers[1].entries] == ["", text, ""]
