import io
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from shown import shown
from small_recordings import (
    LEFT,
    RIGHT,
    MeanTracker,
    corpus,
    mean_tracker,
    never,
    three_recordings,
    utterance,
    write_sound,
    write_video,
)

from mme2e.config import FaceSettings, PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.data.schema import ROW_SCHEMA, SCHEMA_VERSION
from mme2e.errors import UserError
from mme2e.media.audio import decode_flac
from mme2e.media.region import Region
from mme2e.preparation.corpus import prepare_corpus


def prepare(raw, out, make_tracker=mean_tracker, **settings):
    return prepare_corpus(raw, out, PrepareSettings(**settings), source="raw", make_tracker=make_tracker)


def rows_of(out, split="train"):
    return {row["id"]: row for row in load_corpus(out).split(split).to_list()}


def greys(row):
    return [np.asarray(Image.open(io.BytesIO(crop))).mean() for crop in row["face_crops"]]


def files_of(out):
    return {
        path.relative_to(out): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in out.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    return {"video": write_video(folder / "video.mp4", 4), "audio": write_sound(folder / "sound.wav", 4)}


def test_a_row_holds_faces_sound_and_words_of_its_interval(tmp_path, media):
    raw = corpus(utterance("u", "r", 1.0, 2.5, region=LEFT, audio_channel=1, **media))
    summary = prepare(raw, tmp_path / "out")
    row = rows_of(tmp_path / "out")["u"]
    assert (row["recording"], row["speaker"], row["labels"], row["text"]) == ("r", "A", ["sad"], "words of u")
    assert (row["start_s"], row["end_s"]) == (1.0, 2.5)
    assert np.allclose(row["face_times_s"], [1.0, 1.5, 2.0])
    assert np.allclose(greys(row), [40, 50, 60], atol=3)
    assert row["face_flags"] == [0, 0, 0]
    assert row["face_boxes"] == [[1.0, 2.0, 3.0, 4.0]] * 3
    assert np.array_equal(decode_flac(row["audio"]), np.arange(16000, 40000) % 1000 + 10000)
    assert row["num_samples"] == 24000
    assert pq.read_schema(tmp_path / "out" / "train" / "r.parquet").equals(ROW_SCHEMA)
    assert (summary.done, summary.already_done, summary.failed, summary.skipped) == (1, 0, 0, ())
    assert (summary.video_s, summary.frames, summary.face_share) == (1.5, 3, 1.0)
    assert set(summary.stage_s) == {"decode", "faces", "encode", "audio", "write"}


def test_overlapping_utterances_and_both_speakers_get_their_own_frames(tmp_path, media):
    raw = corpus(
        utterance("early", "r", 0.0, 2.0, region=LEFT, **media),
        utterance("inside", "r", 0.5, 1.5, region=LEFT, **media),
        utterance("between", "r", 0.25, 1.0, region=LEFT, **media),
        utterance("other", "r", 0.0, 1.0, region=RIGHT, **media),
    )
    prepare(raw, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert np.allclose(greys(rows["early"]), [20, 30, 40, 50], atol=3)
    assert np.allclose(greys(rows["inside"]), [30, 40], atol=3)
    assert np.allclose(rows["between"]["face_times_s"], [0.25, 0.75])
    assert np.allclose(greys(rows["other"]), [200, 200], atol=3)


def test_a_region_that_does_not_fit_leaves_the_other_speaker_alone(tmp_path, media):
    wrong = Region(x_px=90, y_px=0, width_px=48, height_px=64)
    raw = corpus(
        utterance("good", "r", 0.0, 2.0, region=LEFT, **media), utterance("bad", "r", 1.0, 2.0, region=wrong, **media)
    )
    summary = prepare(raw, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert (len(rows["good"]["face_crops"]), len(rows["bad"]["face_crops"])) == (4, 0)
    assert [item.item for item in summary.skipped] == ["bad"]
    assert "does not fit" in summary.skipped[0].reason


def test_corpus_json_tells_where_it_comes_from(tmp_path):
    prepare(three_recordings(tmp_path / "raw"), tmp_path / "out", frame_interval_ms=250)
    info = load_corpus(tmp_path / "out").info
    assert (info.name, info.label_names, info.multi_label) == ("small", ("happy", "sad"), False)
    assert (info.frame_interval_ms, info.sample_rate_hz) == (250, 16000)
    assert info.counts == {"train": 2, "valid": 2, "test": 2}
    assert info.provenance["source"] == "raw"
    assert info.provenance["settings"]["face"] == {"mode": "fast", "margin": 2}


def test_utterances_without_a_split_get_one(tmp_path, media):
    raw = corpus(*(utterance(f"u{i}", f"r{i}", 0.0, 1.0, split=None, **media) for i in range(10)))
    summary = prepare(raw, tmp_path / "out")
    assert sum(summary.counts.values()) == 10
    assert set(summary.counts) == {"train", "valid", "test"}
    assert load_corpus(tmp_path / "out").info.split_protocol == "recording, seed 0"


def test_one_recording_in_three_splits(tmp_path, media):
    splits = ("train", "valid", "test", "train")
    raw = corpus(*(utterance(f"u{i}", "r", 0.5 * i, 0.5 * i + 1, split=s, **media) for i, s in enumerate(splits)))
    prepare(raw, tmp_path / "out")
    assert [len(rows_of(tmp_path / "out", split)) for split in ("train", "valid", "test")] == [2, 1, 1]


def test_odd_recording_names(tmp_path, media):
    names = ("../evil", ".hidden", "a/b", "ü %20", "x" * 400, "settings", "-start")
    raw = corpus(*(utterance(f"u{i}", name, 0.0, 0.4, **media) for i, name in enumerate(names)))
    prepare(raw, tmp_path / "out")
    assert {row["recording"] for row in rows_of(tmp_path / "out").values()} == set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "out"]
    assert prepare(raw, tmp_path / "out", never).already_done == len(names)


def test_long_recordings_are_written_in_pieces(tmp_path, media, monkeypatch):
    monkeypatch.setattr("mme2e.preparation.writer.ROW_GROUP_BYTES", 1)
    prepare(corpus(*(utterance(f"u{i}", "r", 0.5 * i, 0.5 * i + 1, **media) for i in range(3))), tmp_path / "out")
    assert pq.read_metadata(tmp_path / "out" / "train" / "r.parquet").num_row_groups == 3
    assert list(rows_of(tmp_path / "out")) == ["u0", "u1", "u2"]


def test_preparing_twice_is_preparing_once(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    before = files_of(tmp_path / "out")
    summary = prepare(raw, tmp_path / "out", never)
    assert files_of(tmp_path / "out") == before
    assert (summary.done, summary.already_done, summary.video_s) == (0, 6, 0)
    assert summary.counts == {"train": 2, "valid": 2, "test": 2}


def test_only_what_changed_is_done_again(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    kept = files_of(tmp_path / "out")
    write_video(tmp_path / "raw" / "second.mp4", 3, first_grey=100)
    assert prepare(raw, tmp_path / "out").done == 2
    assert greys(rows_of(tmp_path / "out", "valid")["second_0"])[0] > 95
    now = files_of(tmp_path / "out")
    assert {path.name for path in now if now[path] != kept.get(path)} >= {"second.parquet", "corpus.json"}
    assert all(now[path] == kept[path] for path in now if path.name in ("first.parquet", "third.parquet"))


def test_a_recording_that_moves_to_another_split_leaves_the_old_one(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    moved = [replace(u, split="train") if u.recording == "second" else u for u in raw.utterances]
    assert prepare(replace(raw, utterances=tuple(moved)), tmp_path / "out").counts == {"train": 4, "test": 2}
    assert not list((tmp_path / "out" / "valid").iterdir())


def test_a_recording_that_is_gone_leaves_the_corpus(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    fewer = replace(raw, utterances=raw.utterances[:4])
    (tmp_path / "out" / ".progress" / "third.entry.json").unlink()  # as by a kill before the entry was written
    assert prepare(fewer, tmp_path / "out", never).counts == {"train": 2, "valid": 2}
    assert load_corpus(tmp_path / "out").splits == ("train", "valid")


@pytest.mark.parametrize("damage", ["deleted", "truncated", "entry"])
def test_damaged_results_are_made_again(tmp_path, damage):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    path = tmp_path / "out" / "train" / "first.parquet"
    content = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[:100])
    else:
        (tmp_path / "out" / ".progress" / "first.entry.json").write_text("{}")
    assert prepare(raw, tmp_path / "out").done == 2
    assert path.read_bytes() == content


def test_a_damaged_corpus_json_is_made_again(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    (tmp_path / "out" / "corpus.json").write_text("{")
    assert prepare(raw, tmp_path / "out", never).already_done == 6
    assert len(load_corpus(tmp_path / "out").split("train")) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_interval_ms": 250}, r"frame_interval_ms 500, not 250; prepare into another folder, like .*out-2"),
        ({"face": FaceSettings(mode="reference")}, r"face\.mode fast, not reference"),
        ({"face": FaceSettings(margin=4)}, r"face\.margin 2, not 4"),
    ],
)
def test_other_settings_want_another_folder(tmp_path, settings, message):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    before = files_of(tmp_path / "out")
    with pytest.raises(UserError, match=message):
        prepare(raw, tmp_path / "out", **settings)
    assert files_of(tmp_path / "out") == before


def test_the_number_of_jobs_is_no_such_setting(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out", jobs=1)
    assert prepare(raw, tmp_path / "out", never, jobs=2).already_done == 6


def test_a_corpus_of_a_newer_schema_is_left_alone(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "out")
    path = tmp_path / "out" / ".progress" / "settings.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "schema_version": SCHEMA_VERSION + 1}))
    before = files_of(tmp_path / "out")
    newer = rf"by a newer mme2e, with schema version {SCHEMA_VERSION + 1}; this one writes {SCHEMA_VERSION}: .*out-2"
    with pytest.raises(UserError, match=newer):
        prepare(raw, tmp_path / "out", never)
    assert files_of(tmp_path / "out") == before
    path.write_text(json.dumps({**settings, "schema_version": SCHEMA_VERSION - 1}))
    prepare(raw, tmp_path / "out")
    assert json.loads(path.read_text()) == settings


def test_one_preparation_at_a_time(tmp_path):
    raw = three_recordings(tmp_path / "raw")

    class Meddled(MeanTracker):
        def crops(self, frames):
            with pytest.raises(UserError, match=r"another 'mme2e prepare' is working on .*out; wait"):
                prepare(raw, tmp_path / "out", never)
            yield from super().crops(frames)

    assert prepare(raw, tmp_path / "out", lambda _: Meddled()).done == 6
    assert prepare(raw, tmp_path / "out", never).already_done == 6


def test_foreign_folders_and_files_are_left_alone(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    with pytest.raises(UserError, match="holds other files"):
        prepare(raw, tmp_path / "raw")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        prepare(raw, tmp_path / "file")


def test_an_empty_corpus_and_ids_that_come_twice(tmp_path, media):
    with pytest.raises(UserError, match="no usable utterances"):
        prepare(corpus(), tmp_path / "out")
    twice = utterance("u", "r", 0.0, 1.0, **media)
    with pytest.raises(UserError, match="more than once, like 'u'"):
        prepare(corpus(twice, twice), tmp_path / "out")
    assert not (tmp_path / "out").exists()


class CountingTracker(MeanTracker):
    """Counts how many frames there are at once."""

    def __init__(self):
        self.most = 0

    def crops(self, frames):
        import weakref

        alive = []
        for frame in frames:
            alive = [image for image in alive if image() is not None] + [weakref.ref(frame.image)]
            self.most = max(self.most, len(alive))
            yield from super().crops([frame])


def test_frames_are_not_gathered(tmp_path, media):
    tracker = CountingTracker()
    prepare(corpus(utterance("u", "r", 0.0, 4.0, **media)), tmp_path / "out", lambda _: tracker, frame_interval_ms=100)
    assert len(rows_of(tmp_path / "out")["u"]["face_crops"]) == 40
    assert tracker.most <= 3


def test_the_summary_can_be_shown(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    for path in (tmp_path / "raw").glob("*.wav"):
        path.write_bytes(b"")
    for expected in ("7 s of utterances in", "nothing: all was done already"):
        text = shown(prepare(raw, tmp_path / "out"))
        assert expected in text
        assert "6, of them 6 unreadable" in text
        assert "first_0: audio missing: first.wav cannot be read" in text
        assert "100.0% of 18" in text
        assert "all of them are in" in text
        assert "warning" not in text
    assert len(json.loads((tmp_path / "out" / "corpus.json").read_text())["skipped"]) == 6


def test_the_summary_warns_of_empty_splits(tmp_path, media):
    summary = prepare(corpus(utterance("u", "r", 0.0, 1.0, **media)), tmp_path / "out")
    assert "no utterances in valid, test: training requires some" in shown(summary)
