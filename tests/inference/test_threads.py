"""A `Recognizer` may be called from several threads: the answers are those of one, evidence included."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import matplotlib.cbook
import numpy as np
import pytest
from media_writing import write_sound, write_video
from PIL import Image
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.inference.pictures import draw_prediction
from mme2e.inference.recognizer import Recognizer
from mme2e.inference.result import EmotionResult
from mme2e.perception.stopwatch import Stopwatch

THREADS = 8
TRANSCRIPTS = ("what a happy day", "no", "it is " * 40, "never mind what they say")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A face, the same face mirrored and shorter, and a tone."""
    folder = tmp_path_factory.mktemp("media")
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        portrait = np.asarray(image.convert("RGB").resize((256, 300)))
    tone = (3000 * np.sin(np.arange(16000) / 10)).astype(np.int16)
    return [
        write_video(folder / "face.mp4", [portrait] * 20),
        write_video(folder / "mirrored.mp4", [np.ascontiguousarray(portrait[:, ::-1])] * 10),
        write_sound(folder / "tone.wav", tone[None], 16000),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_run(
        tmp_path_factory.mktemp("runs") / "mesm",
        model=replace(TINY_MODEL, name="mesm", top_p=0.4),
        label_names=("ang", "hap", "neu"),
    )


def answer_all(call: Callable[[int], tuple[EmotionResult, bytes]], numbers: range) -> list[tuple[EmotionResult, bytes]]:
    """In as many threads as there are numbers, begun together."""
    begun = Barrier(len(numbers))

    def together(number: int) -> tuple[EmotionResult, bytes]:
        begun.wait()
        return call(number)

    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(together, numbers))


def test_eight_threads_get_the_answers_and_the_evidence_of_one(run: Path, files: list[Path], tmp_path: Path) -> None:
    def ask(recognizer: Recognizer, number: int, folder: Path) -> tuple[EmotionResult, bytes]:
        picture = folder / f"{number}.png"
        file = files[number % len(files)]
        observation = recognizer.perceive(file)
        inference = recognizer.infer(observation, TRANSCRIPTS[number % len(TRANSCRIPTS)], trace=True)
        result = recognizer.result(file.name, observation, inference, Stopwatch())
        draw_prediction(picture, observation=observation, inference=inference, result=result)
        return replace(result, seconds={}), picture.read_bytes()

    folders = [tmp_path / name for name in ("one", "eight")]
    for folder in folders:
        folder.mkdir()
    one = mme2e.load(run)
    alone = [ask(one, number, folders[0]) for number in range(THREADS)]
    assert len({result.emotions for result, _ in alone}) == THREADS  # no answer is another's
    shared = mme2e.load(run)  # with nothing made yet that is made when it is first used
    found = answer_all(lambda number: ask(shared, number, folders[1]), range(THREADS))
    for (result, picture), (wanted, wanted_picture) in zip(found, alone, strict=True):
        assert result == wanted
        assert picture == wanted_picture
