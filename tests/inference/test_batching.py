"""Many segments side by side get the answers that each gets alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.config import AttentionSettings, AudioInputSettings
from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.inference.recognizer import Recognizer
from mme2e.media.recording import StreamReport
from mme2e.perception.observation import Observation

LABELS = ("ang", "hap", "neu")


def observation_of(frames: int, seconds: float, *, seed: int = 0, start_s: float = 10.0) -> Observation:
    """Noise that was seen and heard."""
    random = np.random.default_rng(seed)
    faces = tuple(
        FaceCrop(
            time_s=start_s + number / 2,
            crop=random.integers(0, 256, (48, 48, 3), dtype=np.uint8),
            box=(0.0, 0.0, 60.0, 60.0),
            flag=FaceFlag.DETECTED,
            probability=0.99,
        )
        for number in range(frames)
    )
    file = Path("clip.mp4")
    return Observation(
        position=0,
        start_s=start_s,
        end_s=start_s + max(frames / 2, seconds),
        faces=faces,
        frames_expected=frames,
        samples=(random.standard_normal(int(16_000 * seconds)) * 3000).astype(np.int16),
        open_ended=False,
        video_file=file,
        audio_file=file,
        video=StreamReport(missing=None if frames else "clip.mp4: the file has no video"),
        audio=StreamReport(missing=None if seconds else "clip.mp4: the file has no audio"),
    )


SEGMENTS = [
    (observation_of(4, 2.0, seed=1), "what a lovely day"),
    (observation_of(4, 2.0, seed=2), None),
    (observation_of(0, 1.0, seed=3), "it was furious"),
    (observation_of(7, 0.0, seed=4), "gloomy"),
    (observation_of(0, 0.3, seed=5), None),
    (observation_of(0, 0.0), "it was a furious lovely gloomy day " * 8),
]


@pytest.fixture(scope="module")
def recognizers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recognizer]:
    """FE2E, and MESM with and without a learned query for missing text; made once."""
    audio = AudioInputSettings(scale="log", normalise="recording")
    models = {
        "fe2e": TINY_MODEL,
        "mesm": replace(TINY_MODEL, name="mesm", top_p=0.5),
        "mesm without text": replace(
            TINY_MODEL, name="mesm", audio=audio, attention=AttentionSettings(no_text_query=True)
        ),
    }
    folder = tmp_path_factory.mktemp("runs")
    made = {
        name: mme2e.load(write_tiny_run(folder / name, model=model, label_names=LABELS, loss="ce"), device="cpu")
        for name, model in models.items()
    }
    return made.__getitem__


@pytest.mark.parametrize("name", ["fe2e", "mesm", "mesm without text"])
def test_segments_side_by_side_get_the_answers_of_each_alone(
    recognizers: Callable[[str], Recognizer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mme2e.inference.batching.SEGMENTS_AT_A_TIME", 4)
    recognizer = recognizers(name)
    surroundings = tuple(float(number) for number in np.linspace(100, 900, 257))
    given = [*SEGMENTS, (replace(SEGMENTS[0][0], surroundings=surroundings), "lovely")]
    many = recognizer.infer_many([recognizer.read(*segment) for segment in given])
    assert len(many) == len(given)
    for (observation, text), found in zip(given, many, strict=True):
        if name == "mesm" and text is None:
            assert found is None
            continue
        assert found is not None
        alone = recognizer.infer(observation, text)
        torch.testing.assert_close(found.logits, alone.logits, rtol=0, atol=1e-5)
        assert (found.text, found.missing, found.notes) == (alone.text, alone.missing, alone.notes)
        assert len(found.batch) == 1
        assert found.batch.mel_chunks is not None
        assert alone.batch.mel_chunks is not None
        torch.testing.assert_close(found.batch.mel_chunks.values, alone.batch.mel_chunks.values)


def test_nothing_to_answer_from(recognizers: Callable[[str], Recognizer]) -> None:
    recognizer = recognizers("fe2e")
    assert recognizer.infer_many([]) == []
    empty = recognizer.read(observation_of(0, 0.0))
    assert (empty.used, recognizer.can_answer(empty)) == ((), False)
    assert empty.missing["acoustic"] == "clip.mp4: the file has no audio"
    assert recognizer.infer_many([empty]) == [None]


def test_a_modality_that_must_not_be_used(recognizers: Callable[[str], Recognizer]) -> None:
    recognizer = recognizers("fe2e")
    observation = observation_of(4, 2.0)
    hidden = recognizer.read(observation, "day", missing={"acoustic": "two people speak", "visual": "not chosen"})
    assert (hidden.used, hidden.missing["acoustic"]) == (("text",), "two people speak")
    (found,) = recognizer.infer_many([hidden])
    assert found is not None
    text_alone = recognizer.infer(observation_of(0, 0.0), "day")
    torch.testing.assert_close(found.logits, text_alone.logits, rtol=0, atol=1e-5)


def test_threads_share_a_recognizer(recognizers: Callable[[str], Recognizer]) -> None:
    recognizer = recognizers("mesm without text")

    def ask(number: int) -> list[torch.Tensor]:
        turned = SEGMENTS[number:] + SEGMENTS[:number]
        found = recognizer.infer_many([recognizer.read(*segment) for segment in turned])
        return [each.logits for each in found if each is not None]

    alone = [ask(number) for number in range(len(SEGMENTS))]
    with ThreadPoolExecutor(len(SEGMENTS)) as pool:
        together = list(pool.map(ask, range(len(SEGMENTS))))
    torch.testing.assert_close(together, alone)
