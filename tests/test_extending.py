"""docs/extending.md as a newcomer follows it: the reader's file, its row, and a corpus prepared by it; the writer."""

import importlib.util
import re
import wave
from pathlib import Path

import numpy as np
import pytest

import mme2e
from mme2e.corpora.readers import READERS
from mme2e.data.corpus import load_corpus
from mme2e.inference.result import Emotion
from mme2e.inference.timeline import ModelIdentity, Segment, Timeline

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture
def read_tess(tmp_path, monkeypatch):
    """The page's reader as a module, with its row in the table."""
    section = PAGE.read_text(encoding="utf-8").split("## A corpus reader")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    file = tmp_path / "tess.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("tess", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(READERS, "tess", module.read_tess)
    return module.read_tess


def _write_wav(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((np.sin(np.arange(8000) / 5) * 8000).astype("<i2").tobytes())


def test_the_reader_of_the_page_finds_utterances_and_prepares_them(read_tess, tmp_path):
    for name in ("OAF_back_happy", "OAF_bar_ps", "YAF_dog_sad", "YAF_base_neutral", "notes"):
        _write_wav(tmp_path / "wav" / f"{name}.wav")
    raw = read_tess(tmp_path / "wav")
    assert {each.id: (each.speaker, each.labels) for each in raw.utterances} == {
        "OAF_back_happy": ("OAF", ("happy",)),
        "OAF_bar_ps": ("OAF", ("surprised",)),
        "YAF_dog_sad": ("YAF", ("sad",)),
        "YAF_base_neutral": ("YAF", ("neutral",)),
    }
    assert [skipped.item for skipped in raw.skipped] == ["notes.wav"]
    mme2e.prepare("tess", tmp_path / "wav", tmp_path / "corpus")
    corpus = load_corpus(tmp_path / "corpus")
    assert corpus.info.name == "tess"
    assert sum(corpus.info.counts.values()) == 4


def test_a_folder_without_any_is_one_clear_line(read_tess, tmp_path):
    with pytest.raises(mme2e.UserError, match=r"no file of TESS like OAF_back_angry\.wav"):
        read_tess(tmp_path)


def test_an_unknown_layout_names_those_that_there_are(tmp_path):
    with pytest.raises(mme2e.UserError, match=r"unknown layout 'emo'; choose from iemocap, mosei, "):
        mme2e.prepare("emo", tmp_path, tmp_path / "out")


def test_the_writer_of_the_page_writes_a_line_a_segment():
    section = PAGE.read_text(encoding="utf-8").split("## A writer")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict = {}
    exec(code, names)
    happy = Emotion(name="happy", probability=0.9, threshold=0.5, present=True)
    segments = (Segment(start_s=0.5, end_s=1.25, kind="speech", emotions=(happy,)),)
    model = ModelIdentity(name="m", run="m")
    timeline = Timeline(source="a.mp4", duration_s=2.0, label_names=("happy",), model=model, segments=segments)
    assert names["audacity_bytes"](timeline) == b"0.500\t1.250\thappy\n"
