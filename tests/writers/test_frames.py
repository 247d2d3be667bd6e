from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written_timelines import EVIL_LABELS, LABELS, empty, hostile, talk

from mme2e.inference.timeline import Timeline
from mme2e.writers.frames import KINDS, frame_of
from mme2e.writers.table import write_timeline

TIMELINES = pytest.mark.parametrize("timeline", [talk(), hostile(), empty()], ids=["talk", "hostile", "empty"])


def test_the_columns_and_their_order():
    columns = list(frame_of(talk()).columns)
    raw, smoothed = [f"p_{label}" for label in LABELS], [f"smoothed_{label}" for label in LABELS]
    assert columns[12:18] == raw + smoothed
    assert columns[:12] + columns[18:] == list(KINDS)
    assert columns[11:13] == ["confidence", "p_happy"]
    assert not [column for column in frame_of(hostile()).columns if column.startswith("smoothed_")]
    assert list(frame_of(empty()).columns) == list(KINDS)


def test_the_values_of_a_row_and_what_is_missing():
    first, silence, uncertain, unanswered = frame_of(talk()).to_dict("records")
    assert (first["source"], first["start_s"], first["end_s"]) == ("interview one.mp4", 0.1234, 2.5)
    assert (first["person"], first["speaker"], first["chosen_by"]) == ("person 1", "Anna", "mouth")
    assert first["decision"] == "happy, very angry, loud"
    assert (first["confidence"], first["p_sad"], first["smoothed_sad"]) == (0.83, 0.1, 0.2)
    assert (first["used"], first["flags"]) == ("text, acoustic, visual", "low light, noise")
    assert (first["frames"], first["frames_with_face"]) == (10, 8)
    assert pd.isna([silence["person"], silence["text"], silence["chosen_by"], silence["choice_confidence"]]).all()
    assert uncertain["missing"] == "acoustic: silence; visual: no face"
    assert uncertain["uncertain"]
    assert pd.isna(uncertain["smoothed_happy"])
    assert unanswered["decision"] == "no answer"
    assert pd.isna([unanswered["confidence"], unanswered["p_happy"]]).all()


@TIMELINES
def test_csv_is_read_again_by_pandas(timeline: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_timeline(timeline, path)
    expected = frame_of(timeline)
    found = pd.read_csv(path, dtype={name: kind for name, kind in KINDS.items() if kind == "string"})
    # CSV cannot tell what is missing from what is empty.
    texts = [name for name in expected.columns if expected[name].dtype == "string"]
    pd.testing.assert_frame_equal(
        found.fillna(dict.fromkeys(texts, "")),
        expected.fillna(dict.fromkeys(texts, "")),
        check_dtype=bool(timeline.segments),
    )


@TIMELINES
def test_parquet_is_read_again_by_pyarrow_and_pandas(timeline: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write_timeline(timeline, path)
    schema = pq.read_schema(path)
    assert schema.field("start_s").type == pa.float64()
    assert schema.field("uncertain").type == pa.bool_()
    assert schema.field("text").type in (pa.string(), pa.large_string())
    expected = frame_of(timeline)
    pd.testing.assert_frame_equal(pd.read_parquet(path).astype(expected.dtypes), expected)


def test_text_is_not_changed_for_spreadsheets_and_labels_keep_their_names():
    frame = frame_of(hostile())
    assert frame["text"][0] == "=1+1"
    assert {f"p_{label}" for label in EVIL_LABELS} <= set(frame.columns)
    text = frame["text"][6]
    assert text.startswith("<script>alert('1')</script> & <b>x</b> {\\an8} \"quoted\"")
    assert r"item\x00\x1b[31m\x85" in text
    assert r"\ud83d" in text
