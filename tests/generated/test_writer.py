import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from mme2e.config import FaceSettings, SampleSettings, SplitSettings
from mme2e.corpora.iemocap import LABEL_NAMES, read_iemocap
from mme2e.corpora.mosei import read_mosei
from mme2e.corpora.splits import assign_splits
from mme2e.corpora.utterance import RawCorpus
from mme2e.errors import UserError
from mme2e.faces.detector import FaceDetector
from mme2e.generated import mosei_layout
from mme2e.generated import writer as sample_writer
from mme2e.generated.writer import sample
from mme2e.media.video import probe, read_frames

READERS = {"iemocap": read_iemocap, "mosei": read_mosei}
COUNTS = {"iemocap": 12, "mosei": 7}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for layout in ("iemocap", "mosei"):
        folders[layout] = tmp_path_factory.mktemp("samples") / layout
        sample(folders[layout], SampleSettings(layout=layout, utterances=COUNTS[layout]))
    return folders


def read(samples: dict[str, Path], layout: str) -> RawCorpus:
    return READERS[layout](samples[layout])


@pytest.mark.parametrize("layout", ["iemocap", "mosei"])
def test_the_reader_finds_every_utterance(samples, layout: str):
    corpus = read(samples, layout)
    assert len(corpus.utterances) == COUNTS[layout]
    assert corpus.skipped == ()
    for utterance in corpus.utterances:
        assert utterance.text
        assert utterance.video is not None
        assert utterance.audio is not None
        assert 0.8 < utterance.end_s - utterance.start_s < 9


def test_iemocap_has_five_sessions_ten_speakers_and_equal_classes(samples):
    corpus = read(samples, "iemocap")
    assert {u.recording[:5] for u in corpus.utterances} == {f"Ses{s:02}" for s in range(1, 6)}
    assert len({u.speaker for u in corpus.utterances}) == 10
    assert Counter(u.labels[0] for u in corpus.utterances) == dict.fromkeys(LABEL_NAMES, 2)


def test_mosei_has_up_to_two_emotions_and_several_annotators(samples):
    corpus = read(samples, "mosei")
    assert {len(u.labels) for u in corpus.utterances} == {0, 1, 2}
    assert any(u.id.startswith("-") for u in corpus.utterances)
    rows = next((samples["mosei"] / "Labels").iterdir()).read_text().splitlines()
    assert len(rows) == 1 + 3 * COUNTS["mosei"]


@pytest.mark.parametrize(
    ("layout", "size", "channels", "codecs"),
    [("iemocap", (720, 480), 2, {"mpeg4", "mp2float"}), ("mosei", (480, 360), 1, {"h264", "aac"})],
)
def test_media_are_encoded_and_as_long_as_each_other(samples, layout: str, size, channels: int, codecs: set[str]):
    for utterance in read(samples, layout).utterances[:: COUNTS[layout] - 1]:
        video, sound = probe(utterance.video), probe(utterance.audio)
        assert (video.width_px, video.height_px) == size
        assert video.has_audio
        assert video.duration_s == pytest.approx(sound.duration_s, abs=0.15)
        assert utterance.end_s < sound.duration_s
        with av.open(str(utterance.video)) as container:
            names = {stream.codec_context.name for stream in container.streams}
            assert {name.removesuffix("float") for name in names} == {name.removesuffix("float") for name in codecs}
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        with av.open(str(utterance.audio)) as container:
            assert container.streams.audio[0].rate == 16000
            assert container.streams.audio[0].channels == channels


def test_the_speaker_is_on_the_own_channel(samples):
    for utterance in read(samples, "iemocap").utterances:
        with av.open(str(utterance.audio)) as container:
            sound = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in container.decode(audio=0)])
        part = sound[int(utterance.start_s * 16000) : int(utterance.end_s * 16000)].astype(float)
        power = (part**2).mean(axis=0)
        assert power[utterance.audio_channel] > 3 * power[1 - utterance.audio_channel]


@pytest.mark.parametrize("mode", ["fast", "reference"])
@pytest.mark.parametrize("layout", ["iemocap", "mosei"])
def test_faces_are_found(samples, layout: str, mode):
    frames = []
    for utterance in read(samples, layout).utterances:
        middle_s = (utterance.start_s + utterance.end_s) / 2
        frames += [frame.image for frame in read_frames(utterance.video, [middle_s], utterance.region)]
    found = [len(each) for each in FaceDetector(FaceSettings(mode=mode)).detect(frames)]
    assert len(found) == COUNTS[layout]
    assert np.mean(np.array(found) == 1) >= 0.95


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("layout", ["iemocap", "mosei"])
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path, layout: str):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        sample(tmp_path / name, SampleSettings(layout=layout, utterances=1, seed=seed))
    first, again, other = (digest(tmp_path / name) for name in "abc")
    assert first == again
    assert set(first.values()).isdisjoint(other.values())


def test_the_number_of_processes_does_not_matter(tmp_path: Path, samples, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sample_writer.os, "sched_getaffinity", lambda _: {0})
    sample(tmp_path / "one", SampleSettings(utterances=COUNTS["iemocap"]))
    assert digest(tmp_path / "one") == digest(samples["iemocap"])


@pytest.mark.parametrize("utterances", [2, 3])
def test_tiny_samples(tmp_path: Path, utterances: int):
    sample(tmp_path / "s", SampleSettings(utterances=utterances))
    assert len(read_iemocap(tmp_path / "s").utterances) == utterances


@pytest.mark.parametrize(
    ("utterances", "videos"), [(1, 1), (2, 2), (3, 3), (5, 5), (6, 6), (12, 6), (35, 7), (36, 6), (240, 40)]
)
def test_mosei_has_enough_recordings_to_split(utterances: int, videos: int):
    planned = mosei_layout.plan_videos(utterances, 0)
    assert len(planned) == videos
    assert sum(len(video.clips) for video in planned) == utterances
    assert len({video.id for video in planned}) == videos


def test_a_small_mosei_sample_fills_all_splits(samples):
    corpus = assign_splits(read(samples, "mosei"), SplitSettings())
    assert {utterance.split for utterance in corpus.utterances} == {"train", "valid", "test"}


def test_the_readme_says_that_it_is_generated(samples):
    text = (samples["mosei"] / "README.txt").read_text()
    assert "not a real corpus" in text
    assert "layout: mosei" in text
    assert "seed: 0" in text


def test_an_empty_folder_is_used_and_a_full_one_refused(tmp_path: Path):
    (tmp_path / "s").mkdir()
    sample(tmp_path / "s", SampleSettings(utterances=1))
    with pytest.raises(UserError, match="is not empty"):
        sample(tmp_path / "s", SampleSettings(utterances=1))
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "s").write_text("")
    with pytest.raises(UserError, match="requires a new or empty folder"):
        sample(tmp_path / "s", SampleSettings(utterances=1))


@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space"), UserError)]
)
def test_an_interrupted_sample_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error, raised):
    def fail(folder: Path, settings: SampleSettings) -> None:
        (folder / "half").write_text("x")
        raise error

    monkeypatch.setattr(sample_writer, "_write", fail)
    with pytest.raises(raised):
        sample(tmp_path / "s", SampleSettings(utterances=1))
    assert list(tmp_path.iterdir()) == []


SAMPLE = """
import os, sys
from pathlib import Path
from mme2e.config import SampleSettings
from mme2e.generated.writer import sample

if __name__ == "__main__":
    os.sched_getaffinity = lambda _: {0, 1}
    try:
        sample(Path(sys.argv[1]), SampleSettings(utterances=400))
    except KeyboardInterrupt as error:
        sys.exit(f"told: {error}")
"""


@pytest.mark.parametrize("when", ["starting", "working"])
def test_ctrl_c_ends_the_workers_and_leaves_nothing(tmp_path: Path, when: str):
    script, folder = tmp_path / "script.py", tmp_path / "folder"
    script.write_text(SAMPLE)
    process = subprocess.Popen(
        [sys.executable, script, folder / "s"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline_s = time.monotonic() + 60
        wanted = ".s.*.tmp" if when == "starting" else ".s.*.tmp/**/*.wav"
        while not list(folder.glob(wanted)) and process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)  # all of it would take minutes
    finally:
        process.kill()
    assert process.returncode == 1
    assert f"told: interrupted; nothing was written to {folder / 's'}" in said
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []
