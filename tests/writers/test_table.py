import re
from pathlib import Path

import pytest
from written_timelines import empty, hostile, talk

from mme2e.errors import UserError
from mme2e.inference.timeline import Timeline
from mme2e.writers.table import FORMATS, WRITERS, require_format, timeline_schema, write_timeline

TIMELINES = pytest.mark.parametrize("timeline", [talk(), hostile(), empty()], ids=["talk", "hostile", "empty"])


@pytest.mark.parametrize("suffix", FORMATS)
@TIMELINES
def test_every_format_writes_every_timeline(timeline: Timeline, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_text("an older file")
    write_timeline(timeline, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    content = path.read_bytes()
    assert b"an older file" not in content
    if suffix != ".parquet":
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", content.decode("utf-8"))


def test_the_suffix_counts_without_its_capitals(tmp_path: Path) -> None:
    assert [require_format(Path(f"a.b{suffix.upper()}")) for suffix in FORMATS] == list(FORMATS)
    write_timeline(talk(), tmp_path / "OUT.JSON")
    assert (tmp_path / "OUT.JSON").read_text(encoding="utf-8").startswith("{")


def test_the_longest_name_and_one_that_is_not_utf_8_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".csv", "caf\udce9.csv"):
        write_timeline(talk(), tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("name", ["out.docx", "out", ".srt", "out.srt.gz"])
def test_an_unknown_suffix_is_an_error_that_lists_the_formats(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown format '.*' of .*; choose from \.json, \.jsonl, .*, \.rttm") as error:
        write_timeline(talk(), tmp_path / name)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_cannot_be_written_is_one_line_that_names_the_file(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"folder{suffix}").mkdir()
    names = (f"folder{suffix}", f"nowhere/out{suffix}", f"{'a' * 300}{suffix}")
    for path in (tmp_path / name for name in names):
        with pytest.raises(UserError) as error:
            write_timeline(talk(), path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"out\.csv cannot be written: No space left on device"):
        write_timeline(talk(), path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_the_schema_is_that_of_the_timeline() -> None:
    assert timeline_schema() == Timeline.schema()
    assert set(WRITERS) == set(FORMATS)
