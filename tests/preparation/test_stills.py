import io

import killing_decoder
import numpy as np
import pytest
from PIL import Image
from small_recordings import MeanTracker, corpus, mean_tracker, never, utterance, write_sound, write_video

from mme2e.auditing.run import audit_corpus
from mme2e.config import FaceSettings, PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.faces.detector import FaceDetector
from mme2e.faces.face_crop import FaceFlag
from mme2e.faces.tracker import FaceTracker
from mme2e.preparation.corpus import prepare_corpus


def write_images(folder, greys, size_px=(64, 48)):
    folder.mkdir(exist_ok=True)
    paths = tuple(folder / f"image_{i}.png" for i in range(len(greys)))
    for path, grey in zip(paths, greys, strict=True):
        Image.new("RGB", size_px, (grey, grey, grey)).save(path)
    return paths


class CountingTracker(MeanTracker):
    """Notes how many frames each run has."""

    runs: list[int]

    def __init__(self):
        self.runs = []

    def crops(self, frames):
        given = list(frames)
        self.runs.append(len(given))
        yield from super().crops(given)


def prepare_one(tmp_path, tracker=None, **given):
    """Prepares one utterance beside one with words alone; returns its row or None, what was said, and the summary."""
    given = {"start_s": 0.0, "end_s": None, "text": None, **given}
    raw = corpus(utterance("u", "u", **given), utterance("words", "words", 0.0, None))
    make_tracker = mean_tracker if tracker is None else lambda _: tracker
    summary = prepare_corpus(raw, tmp_path / "out", PrepareSettings(), source="raw", make_tracker=make_tracker)
    rows = {row["id"]: row for row in load_corpus(tmp_path / "out").split("train").to_list()}
    return rows.get("u"), {item.item: item.reason for item in summary.skipped}.get("u", ""), summary


def greys(row):
    return [round(np.asarray(Image.open(io.BytesIO(crop))).mean()) for crop in row["face_crops"]]


def test_photographs_are_sampled_frames_each_by_itself(tmp_path):
    images = write_images(tmp_path / "images", [10, 20, 30])
    tracker = CountingTracker()
    row, reason, summary = prepare_one(tmp_path, tracker, images=images, start_s=2.0)
    assert greys(row) == [10, 20, 30]
    assert row["face_times_s"] == [2.0, 2.5, 3.0]
    assert (row["start_s"], row["end_s"]) == (2.0, 3.5)
    assert tracker.runs == [1, 1, 1]
    assert "picture" not in reason
    assert summary.failed == 0


def test_photographs_may_differ_in_size_and_reach_past_the_end(tmp_path):
    images = (*write_images(tmp_path / "a", [10]), *write_images(tmp_path / "b", [20], (30, 90)))
    row, _, _ = prepare_one(tmp_path, images=images, end_s=0.2)
    assert (greys(row), row["end_s"]) == ([10, 20], 0.2)


def test_a_film_gives_the_image_nearest_to_each_time(tmp_path):
    images = write_images(tmp_path / "images", range(100, 145))
    tracker = CountingTracker()
    row, _, _ = prepare_one(tmp_path, tracker, images=images, images_per_s=30.0, start_s=1.0)
    assert greys(row) == [100, 115, 130]
    assert row["face_times_s"] == [1.0, 1.5, 2.0]
    assert row["end_s"] == 2.5
    assert tracker.runs == [3]
    row, reason, summary = prepare_one(tmp_path, images=images, images_per_s=30.0, end_s=3.0)
    assert greys(row) == [100, 115, 130]
    assert "video incomplete, 3 of 6 frames: its images end before" in reason
    assert summary.failed == 0


def test_between_two_images_the_nearer_one_is_taken(tmp_path):
    images = write_images(tmp_path / "images", [10, 20, 30])
    row, _, _ = prepare_one(tmp_path, images=images, images_per_s=1.5, end_s=2.0)
    assert greys(row) == [10, 20, 30, 30]  # positions 0, 0.75, 1.5, 2.25


def test_images_with_sound_last_as_long_as_the_longer_of_both(tmp_path):
    images = write_images(tmp_path / "images", [10])
    audio = write_sound(tmp_path / "sound.wav", 2)
    row, _, _ = prepare_one(tmp_path, images=images, audio=audio)
    assert (greys(row), row["end_s"], row["num_samples"]) == ([10], 2.0, 32000)


@pytest.mark.parametrize("images_per_s", [None, 2.0])
def test_images_that_cannot_be_read_cost_their_frames_only(tmp_path, images_per_s):
    images = write_images(tmp_path / "images", [10, 20, 30, 40])
    images[1].write_bytes(images[1].read_bytes()[:60])
    images[2].unlink()
    row, reason, summary = prepare_one(tmp_path, images=images, images_per_s=images_per_s)
    assert greys(row) == [10, 40]
    assert row["face_times_s"] == [0.0, 1.5]
    assert "video incomplete, 2 of 4 frames: image_1.png cannot be read" in reason
    assert "and 1 more images" in reason
    assert (summary.failed, summary.counts) == (1, {"train": 2})


@pytest.mark.parametrize("images_per_s", [None, 2.0])
def test_an_image_that_kills_the_decoder_costs_its_frame_only(tmp_path, monkeypatch, images_per_s):
    killing_decoder.do_at_image(monkeypatch, tmp_path, "image_1")
    images = write_images(tmp_path / "images", [10, 20, 30])
    row, reason, summary = prepare_one(tmp_path, images=images, images_per_s=images_per_s)
    assert greys(row) == [10, 30]
    assert row["face_times_s"] == [0.0, 1.0]
    assert "image_1.png: decoding it ended the decoder process (SIGSEGV)" in reason
    assert str(tmp_path) not in reason
    assert summary.failed == 1


def test_without_a_readable_image_the_picture_is_missing(tmp_path):
    images = (write_sound(tmp_path / "sound.wav", 1),)
    row, reason, summary = prepare_one(tmp_path, images=images, text="words")
    assert row["face_crops"] == []
    assert reason.startswith("video missing: sound.wav cannot be read as an image: no image file")
    row, reason, summary = prepare_one(tmp_path, images=images)
    assert row is None
    assert reason.startswith("left out: video missing")
    assert summary.failed == 1


def test_a_video_stands_above_images(tmp_path):
    images = write_images(tmp_path / "images", [250] * 9)
    row, _, _ = prepare_one(tmp_path, images=images, video=write_video(tmp_path / "video.mp4", 1))
    assert len(row["face_crops"]) == 2
    assert max(greys(row)) < 220


def test_changed_images_are_prepared_again(tmp_path):
    images = write_images(tmp_path / "images", [10])
    prepare_one(tmp_path, images=images)
    write_images(tmp_path / "images", [200], (65, 49))
    row, _, summary = prepare_one(tmp_path, images=images)
    assert greys(row) == [200]
    assert (summary.done, summary.already_done) == (1, 1)


def test_words_alone_take_no_time(tmp_path):
    row, reason, summary = prepare_one(tmp_path, text="nothing but words", start_s=3.0)
    assert (row["text"], row["start_s"], row["end_s"], row["num_samples"]) == ("nothing but words", 3.0, 3.0, 0)
    assert (summary.failed, summary.face_share, summary.video_s) == (0, None, 0)
    # What the whole corpus lacks is told once, not of every utterance.
    assert reason == ""
    assert [(item.item, item.reason) for item in summary.skipped] == [
        ("small", "audio missing: no utterance has any"),
        ("small", "video missing: no utterance has any"),
    ]


def test_a_modality_that_others_have_is_told_of_each_that_lacks_it(tmp_path):
    _, reason, summary = prepare_one(tmp_path, images=write_images(tmp_path / "images", [10]))
    assert reason == "text missing: no transcript"
    told = {item.item: item.reason for item in summary.skipped}
    assert told["words"] == "video missing: the corpus has none of it"
    assert told["small"] == "audio missing: no utterance has any"


def test_words_stay_when_files_without_a_told_end_cannot_be_read(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    row, reason, summary = prepare_one(tmp_path, text="words", video=broken, audio=broken)
    assert row["text"] == "words"
    assert reason.count("broken.mp4 cannot be read") == 2
    assert summary.failed == 1
    row, reason, summary = prepare_one(tmp_path, video=broken, audio=broken)
    assert row is None
    assert summary.failed == 1


def test_a_silent_video_is_not_damaged(tmp_path):
    video = write_video(tmp_path / "video.mp4", 1)
    row, reason, summary = prepare_one(tmp_path, video=video, audio=video)
    assert len(row["face_crops"]) == 2
    assert "audio missing: video.mp4: the file has no audio" in reason
    assert summary.failed == 0


def test_that_an_image_is_an_animation_is_reported(tmp_path):
    pictures = [Image.new("L", (64, 48), grey) for grey in (50, 100)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    row, reason, summary = prepare_one(tmp_path, images=(tmp_path / "a.gif",) * 3, text="words")
    assert greys(row) == [50, 50, 50]
    assert "a.gif has several images, of which the first is taken, and 2 more images" in reason
    assert summary.failed == 0


def test_boxes_are_in_pixels_of_the_file_also_where_it_is_made_smaller(tmp_path):
    Image.new("L", (4800, 3400), 90).save(tmp_path / "large.jpg")
    row, _, _ = prepare_one(tmp_path, images=(tmp_path / "large.jpg", *write_images(tmp_path / "images", [10])))
    assert greys(row) == [90, 10]
    assert row["face_boxes"] == [[2.0, 4.0, 6.0, 8.0], [1.0, 2.0, 3.0, 4.0]]


def test_face_crops_are_taken_whole_and_no_detector_is_loaded(tmp_path):
    images = write_images(tmp_path / "images", [10, 20], (30, 60))
    raw = corpus(utterance("u", "u", 0.0, None, images=images, face_crop=True), utterance("words", "words", 0.0, None))
    summary = prepare_corpus(raw, tmp_path / "out", PrepareSettings(), source="raw", make_tracker=never)
    row = next(row for row in load_corpus(tmp_path / "out").split("train").to_list() if row["id"] == "u")
    assert greys(row) == [10, 20]
    assert row["face_flags"] == [FaceFlag.GIVEN] * 2
    assert row["face_boxes"] == [[0.0, 0.0, 30.0, 60.0]] * 2
    assert (summary.frames, summary.frames_with_face, summary.failed) == (2, 2, 0)
    assert audit_corpus(load_corpus(tmp_path / "out")).all.frames_with_face == 2


def test_grey_face_crops_beside_other_photographs(tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    given = {"images": (tmp_path / "grey.png",), "face_crop": True}
    raw = corpus(
        utterance("given", "a", 0.0, None, **given),
        utterance("searched", "a", 0.0, None, images=write_images(tmp_path / "images", [90])),
    )
    prepare_corpus(raw, tmp_path / "out", PrepareSettings(), source="raw", make_tracker=mean_tracker)
    rows = {row["id"]: row for row in load_corpus(tmp_path / "out").split("train").to_list()}
    crop = np.asarray(Image.open(io.BytesIO(rows["given"]["face_crops"][0])))
    assert (crop == pixels[..., None]).all()
    assert rows["searched"]["face_flags"] == [FaceFlag.DETECTED]


def test_the_detector_of_this_package_searches_each_photograph(tmp_path, shared):
    face = shared("open/faces/angry_00bdd0ca07.jpg")
    blank = write_images(tmp_path / "images", [128], (112, 112))[0]
    tracker = FaceTracker(FaceDetector(FaceSettings()))
    row, _, summary = prepare_one(tmp_path, tracker, images=(face, blank, face))
    assert row["face_flags"] == [FaceFlag.DETECTED, FaceFlag.CENTRE, FaceFlag.DETECTED]
    assert summary.face_share == pytest.approx(2 / 3)
