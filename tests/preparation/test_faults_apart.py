"""A fault of the audio does not cost the video and the text of an utterance, nor the other way round."""

from pathlib import Path

import pytest
from PIL import Image
from small_recordings import corpus, mean_tracker, utterance, write_sound, write_video

from mme2e.config import PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.media.region import Region
from mme2e.preparation.corpus import prepare_corpus


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def garbage(path: Path) -> Path:
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(range(256)) * 9)
    return path


def prepare(tmp_path: Path, **given: object) -> tuple[dict[str, object], str]:
    """Row of one utterance of 2 s with the given files, and what is reported of it."""
    raw = corpus(utterance("u", "r", 0.0, 2.0, **given), utterance("other", "o", 0.0, None))
    summary = prepare_corpus(raw, tmp_path / "out", PrepareSettings(), source="raw", make_tracker=mean_tracker)
    (row,) = [row for row in load_corpus(tmp_path / "out").split("train").to_list() if row["id"] == "u"]
    return row, {item.item: item.reason for item in summary.skipped}.get("u", "")


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "video.mp4", 2)


@pytest.fixture
def audio(tmp_path):
    return write_sound(tmp_path / "audio.wav", 2)


@pytest.mark.parametrize(
    "fault",
    [
        lambda folder: {"audio": garbage(folder / "bad.wav")},
        lambda folder: {"audio": folder / "gone.wav"},
        lambda folder: {"audio": cut(write_sound(folder / "bad.wav", 2), 0.0)},
        lambda folder: {"audio": write_sound(folder / "bad.wav", 2), "audio_channel": 7},
        lambda folder: {"audio": write_video(folder / "silent.mp4", 2)},
    ],
    ids=["garbage", "gone", "empty", "no such channel", "no audio track"],
)
def test_a_fault_of_the_audio(tmp_path, video, fault):
    row, reason = prepare(tmp_path, video=video, **fault(tmp_path))
    assert (len(row["face_crops"]), row["text"], row["audio"]) == (4, "words of u", None)
    assert reason


@pytest.mark.parametrize(
    "fault",
    [
        lambda folder: {"video": garbage(folder / "bad.mp4")},
        lambda folder: {"video": folder / "gone.mp4"},
        lambda folder: {"video": cut(write_video(folder / "bad.mp4", 2), 0.5)},
        lambda folder: {
            "video": write_video(folder / "bad.mp4", 2),
            "region": Region(x_px=90, y_px=0, width_px=50, height_px=9),
        },
        lambda folder: {"images": (garbage(folder / "bad.png"),)},
        lambda folder: {"images": (folder / "gone.png",)},
    ],
    ids=["garbage", "gone", "cut", "no such region", "garbage image", "no image"],
)
def test_a_fault_of_the_video(tmp_path, audio, fault):
    row, reason = prepare(tmp_path, audio=audio, **fault(tmp_path))
    assert (row["face_crops"], row["text"], row["num_samples"]) == ([], "words of u", 32000)
    assert reason


def test_images_beside_broken_audio(tmp_path):
    Image.new("L", (64, 48)).save(tmp_path / "image.png")
    row, reason = prepare(tmp_path, images=(tmp_path / "image.png",) * 4, audio=garbage(tmp_path / "bad.wav"))
    assert (len(row["face_crops"]), row["text"], row["audio"]) == (4, "words of u", None)
    assert "bad.wav" in reason
