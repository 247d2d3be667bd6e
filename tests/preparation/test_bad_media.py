import logging
import shutil
from fractions import Fraction
from pathlib import Path

import media_writing
import pytest
from killing_decoder import die_of
from small_recordings import (
    MeanTracker,
    corpus,
    mean_tracker,
    never,
    three_recordings,
    utterance,
    write_sound,
    write_video,
)

from mme2e.config import PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.media.region import Region
from mme2e.perception.decoders import Decoders
from mme2e.preparation import worker
from mme2e.preparation.corpus import prepare_corpus


def prepare(raw, out, make_tracker=mean_tracker):
    return prepare_corpus(raw, out, PrepareSettings(), source="raw", make_tracker=make_tracker)


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    files = {
        "good_video": write_video(folder / "good.mp4", 4),
        "good_sound": write_sound(folder / "good.wav", 4),
        "zero": folder / "zero.mp4",
        "truncated": folder / "truncated.mp4",
        "missing": folder / "missing.mp4",
    }
    files["zero"].write_bytes(b"")
    files["truncated"].write_bytes(files["good_video"].read_bytes()[:2000])
    return files


def one(tmp_path, media, **changes):
    """Prepares one utterance beside a good one; returns its row or None, what was said about it, and the summary."""
    given = {"video": media["good_video"], "audio": media["good_sound"], "start_s": 1.0, "end_s": 2.0, **changes}
    files = {"video": media["good_video"], "audio": media["good_sound"]}
    raw = corpus(utterance("bad", "bad", **given), utterance("good", "good", 0.0, 1.0, **files))
    summary = prepare(raw, tmp_path / "out")
    rows = {row["id"]: row for row in load_corpus(tmp_path / "out").split("train").to_list()}
    assert len(rows["good"]["face_crops"]) == 2
    reasons = {item.item: item.reason for item in summary.skipped}
    return rows.get("bad"), reasons.get("bad", ""), summary


@pytest.mark.parametrize("name", ["zero", "truncated", "missing", "good_sound"])
def test_a_video_that_cannot_be_read_costs_the_picture_only(tmp_path, media, name):
    row, reason, summary = one(tmp_path, media, video=media[name])
    assert row["face_crops"] == row["face_flags"] == row["face_times_s"] == row["face_boxes"] == []
    assert row["num_samples"] == 16000
    assert reason.startswith("video missing: ")
    assert media[name].name in reason
    assert summary.failed == 1


@pytest.mark.parametrize("name", ["zero", "truncated", "missing"])
def test_a_sound_that_cannot_be_read_costs_the_sound_only(tmp_path, media, name):
    row, reason, summary = one(tmp_path, media, audio=media[name])
    assert row["audio"] is None
    assert row["num_samples"] == 0
    assert len(row["face_crops"]) == 2
    assert reason.startswith("audio missing: ")
    assert media[name].name in reason
    assert summary.failed == 1


@pytest.mark.parametrize(
    ("changes", "expected", "frames", "samples"),
    [
        ({"video": None}, "video missing: the corpus has none", 0, 16000),
        ({"audio": None}, "audio missing: the corpus has none", 2, 0),
        ({"text": None}, "text missing", 2, 16000),
        ({"text": " "}, "text missing", 2, 16000),
        ({"start_s": 10.0, "end_s": 11.0}, "video missing: good.mp4 ends before; audio missing", 0, 0),
        ({"start_s": 3.0, "end_s": 6.0}, "video incomplete, 2 of 6 frames: good.mp4 ends before", 2, 16000),
        ({"start_s": 3.0, "end_s": 6.0}, "audio incomplete, 1.0 of 3.0 s: good.wav ends before", 2, 16000),
        ({"start_s": 3.0, "end_s": None}, "", 2, 16000),
        ({"start_s": 1.0, "end_s": 1.0001}, "", 1, 2),
    ],
)
def test_what_is_missing_is_reported_and_the_rest_kept(tmp_path, media, changes, expected, frames, samples):
    row, reason, summary = one(tmp_path, media, **changes)
    assert expected in reason
    assert len(row["face_crops"]) == frames
    assert row["num_samples"] == samples
    assert summary.failed == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"video": None, "audio": None, "text": None}, "left out: video missing"),
        ({"end_s": 0.5}, "left out: it ends at 0.5 s, not after its start"),
        ({"start_s": 9.0, "end_s": None}, "left out: its files end"),
        ({"video": None, "audio": None, "text": None, "end_s": None}, "left out: video missing"),
    ],
)
def test_an_utterance_with_nothing_left_is_left_out(tmp_path, media, changes, expected):
    row, reason, summary = one(tmp_path, media, **changes)
    assert row is None
    assert reason.startswith(expected)
    assert summary.counts == {"train": 1}


def test_a_video_with_garbage_inside_is_damaged(tmp_path, media):
    content = bytearray(media["good_video"].read_bytes())
    start = content.index(b"mdat") + 4
    length = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    middle = slice(start + length // 2, start + length * 3 // 4)
    content[middle] = b"\xa5" * (middle.stop - middle.start)
    path = media["good_video"].with_name("garbage.mp4")
    path.write_bytes(content)
    row, reason, summary = one(tmp_path, media, video=path, start_s=1.0, end_s=4.0)
    assert reason.startswith("video incomplete: garbage.mp4 is damaged: ")
    assert "could not be decoded" in reason
    assert (len(row["face_crops"]), summary.failed) == (6, 1)


@pytest.mark.parametrize(("start_s", "what"), [(0.0, "video incomplete, "), (3.0, "video missing: ")])
def test_a_video_that_was_cut_off_is_damaged(tmp_path, media, start_s, what):
    whole = write_video(media["good_video"].with_name("whole.avi"), 4).read_bytes()
    path = media["good_video"].with_name("cut.avi")
    path.write_bytes(whole[: len(whole) * 6 // 10])
    row, reason, summary = one(tmp_path, media, video=path, start_s=start_s, end_s=4.0)
    assert reason.startswith(what)
    assert "cut.avi is damaged: " in reason
    assert (row["num_samples"], summary.failed) == ((4 - start_s) * 16000, 1)


def test_damage_elsewhere_in_a_video_is_not_an_utterances(tmp_path, media):
    whole = write_video(media["good_video"].with_name("whole.avi"), 4).read_bytes()
    path = media["good_video"].with_name("cut.avi")
    path.write_bytes(whole[: len(whole) * 6 // 10])
    _, reason, summary = one(tmp_path, media, video=path, start_s=0.0, end_s=1.0)
    assert (reason, summary.failed) == ("", 0)


def test_a_region_outside_the_picture_is_reported(tmp_path, media):
    row, reason, _ = one(tmp_path, media, region=Region(x_px=90, y_px=0, width_px=48, height_px=48))
    assert row["face_crops"] == []
    assert "does not fit" in reason


def test_pixels_are_square_unless_the_corpus_keeps_them_as_stored(tmp_path, media):
    path = media_writing.write_video(tmp_path / "wide.mp4", [media_writing.grey_image(90)] * 40, aspect=Fraction(2))
    right = Region(x_px=64, y_px=0, width_px=64, height_px=48)  # of 128 x 48 px; 64 x 48 are stored
    row, reason, _ = one(tmp_path, media, video=path, region=right)
    assert (len(row["face_crops"]), reason) == (2, "")
    shutil.rmtree(tmp_path / "out")
    row, reason, _ = one(tmp_path, media, video=path, region=right, square_pixels=False)
    assert row["face_crops"] == []
    assert "does not fit into a frame of 64x48 px" in reason


def test_a_corpus_of_which_nothing_is_left_is_refused(tmp_path, media):
    raw = corpus(utterance("u", "r", 0.0, 1.0, video=media["zero"], audio=media["zero"], text=None))
    with pytest.raises(UserError, match="none of the 1 utterances of raw"):
        prepare(raw, tmp_path / "out")
    assert not (tmp_path / "out" / "corpus.json").exists()


class BuggyTracker(MeanTracker):
    def crops(self, frames):
        for crop in super().crops(frames):
            if crop.crop.mean() < 80:
                raise RuntimeError("no such luck")
            yield crop


def test_an_error_in_one_recording_does_not_stop_the_others(tmp_path, caplog):
    raw = three_recordings(tmp_path / "raw")
    for name in ("first", "third"):
        write_video(tmp_path / "raw" / f"{name}.mp4", 3, first_grey=200)
    with caplog.at_level(logging.ERROR):
        summary = prepare(raw, tmp_path / "out", lambda _: BuggyTracker())
    assert summary.counts == {"train": 2, "test": 2}
    assert summary.failed == 1
    assert [(item.item, item.reason) for item in summary.skipped] == [
        ("second", "recording failed: RuntimeError: no such luck")
    ]
    assert [record.getMessage() for record in caplog.records] == ["recording second failed: RuntimeError: no such luck"]
    assert caplog.records[0].exc_info is None
    summary = prepare(raw, tmp_path / "out")
    assert (summary.done, summary.already_done, summary.failed) == (2, 4, 0)


def test_ctrl_c_keeps_what_was_done(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    write_video(tmp_path / "raw" / "second.mp4", 3, first_grey=150)

    class Interrupted(MeanTracker):
        def crops(self, frames):
            for number, crop in enumerate(super().crops(frames)):
                if crop.crop.mean() > 150 and number == 4:
                    raise KeyboardInterrupt
                yield crop

    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out", lambda _: Interrupted())
    assert not list((tmp_path / "out").rglob("*.tmp"))
    with pytest.raises(UserError, match="not finished"):
        load_corpus(tmp_path / "out")
    summary = prepare(raw, tmp_path / "out")
    assert (summary.done, summary.already_done) == (4, 2)
    prepare(raw, tmp_path / "whole")
    for split in ("train", "valid", "test"):
        assert (
            load_corpus(tmp_path / "out").split(split).to_list()
            == load_corpus(tmp_path / "whole").split(split).to_list()
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line_and_leaves_no_half_files(tmp_path, monkeypatch):
    raw = three_recordings(tmp_path / "raw")
    open_file = type(tmp_path).open

    def full(path, mode="r", *args, **kwargs):
        device = path.name.startswith(".second.parquet")
        return open_file(Path("/dev/full") if device else path, mode, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "open", full)
        with pytest.raises(
            UserError, match=r"cannot write to .*out \(No space left on device\); what was prepared is kept"
        ):
            prepare(raw, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert not (tmp_path / "out" / "corpus.json").exists()
    summary = prepare(raw, tmp_path / "out")
    assert (summary.done, summary.already_done) == (4, 2)


@pytest.mark.parametrize("out", ["file/out", "x" * 300, "x" * 300 + "/out"])
def test_an_output_folder_that_cannot_be_is_one_line(tmp_path, out):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to") as raised:
        prepare(three_recordings(tmp_path / "raw"), tmp_path / out, never)
    assert "\n" not in str(raised.value)


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    leftover = tmp_path / "out" / "train" / ".first.parquet.123.tmp"
    shutil.copy(tmp_path / "out" / "train" / "first.parquet", leftover)
    prepare(raw, tmp_path / "out", never)
    assert not leftover.exists()


def test_a_recording_that_kills_its_decoder_is_named_and_the_others_are_done(tmp_path, monkeypatch):
    raw = three_recordings(tmp_path / "raw")
    monkeypatch.setattr(worker, "Decoders", Decoders)  # a decoder process of its own
    die_of(monkeypatch, tmp_path, "second", "video")
    summary = prepare(raw, tmp_path / "out")
    reason = "video missing: second.mp4: decoding it ended the decoder process (SIGSEGV)"
    assert [(item.item, item.reason) for item in summary.skipped] == [("second_0", reason), ("second_1", reason)]
    assert summary.counts == {"train": 2, "valid": 2, "test": 2}  # audio and text of it are left
    assert (summary.failed, summary.complete) == (2, False)


def test_damaged_audio_is_reported(tmp_path, media):
    path = media["good_sound"].with_name("cut.wav")
    path.write_bytes(media["good_sound"].read_bytes()[:100_000])
    row, reason, summary = one(tmp_path, media, audio=path, start_s=0.0, end_s=3.0)
    assert (row["num_samples"], len(row["face_crops"])) == (24989, 6)
    assert reason.startswith("audio incomplete, 1.6 of 3.0 s: cut.wav is damaged: ")
    assert reason.endswith("it breaks off at 1.6 of 4.0 s")
    assert summary.failed == 1


def test_silent_audio_is_told_once_for_a_recording(tmp_path, media):
    path = media["good_sound"].with_name("silent.wav")
    write_sound(path, 4)
    data = bytearray(path.read_bytes())
    data[44:] = bytes(len(data) - 44)
    path.write_bytes(data)
    files = {"video": media["good_video"], "audio": path}
    raw = corpus(utterance("a", "r", 0.0, 1.0, **files), utterance("b", "r", 1.0, 2.0, **files))
    summary = prepare(raw, tmp_path / "out")
    (item,) = summary.skipped
    assert item.item == "r"
    assert "silent" in item.reason
    assert item.reason.endswith("(2 of 2 utterances)")
    assert summary.failed == 0
