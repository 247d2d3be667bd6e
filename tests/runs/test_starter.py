"""The model that comes with the package."""

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.cbook
import pytest
from safetensors import safe_open

import mme2e
from mme2e.config import InitSettings, ModelSettings, TrainSettings
from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.runs import starter
from mme2e.runs.folder import load_run
from mme2e.runs.info import read_info
from mme2e.runs.starter import STARTER, STARTER_FOLDER, find_run
from mme2e.training.initial_weights import with_model_of_run

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.fixture(scope="module")
def recognizer() -> mme2e.Recognizer:
    return mme2e.load(device="cpu")


@pytest.fixture(scope="module")
def photograph() -> Path:
    return Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def test_it_is_small_and_says_what_it_is() -> None:
    files = [path for path in STARTER_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000
    card = (STARTER_FOLDER / "README.md").read_text(encoding="utf-8")
    for said in ("non-commercial", "RAVDESS", "ISEAR", "GPL-3.0", "Article 5(1)(f)", "fear", "disgust"):
        assert said in card
    assert (STARTER_FOLDER / "WEIGHTS_LICENSE.md").is_file()
    info = read_info(STARTER_FOLDER)
    assert info.label_names == EMOTIONS
    assert info.model.name == "mesm"
    assert info.model.required_modalities == ""
    assert set(info.confidence.temperatures) == {"t", "a", "v", "ta", "tv", "av", "tav"}
    assert 0 < info.confidence.abstain_below < 1


def test_its_weights_have_16_bits() -> None:
    with safe_open(STARTER_FOLDER / "model.safetensors", framework="pt") as weights:
        kinds = {name: weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118  # not a mapping
    assert all(kind == "F16" for name, kind in kinds.items() if name.endswith((".weight", ".bias")))


def test_it_is_found_by_its_name_and_by_default(recognizer: mme2e.Recognizer) -> None:
    assert find_run(STARTER) == STARTER_FOLDER
    assert find_run("./starter") == Path("starter")
    assert recognizer.name.startswith("starter (mesm of 'tav'")
    assert load_run(STARTER).info == recognizer.info


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("I am so happy for you, this is wonderful!", "happy"),
        ("I miss him so much, I have cried all day.", "sad"),
        ("How dare you! I am furious.", "angry"),
        ("That food is disgusting, it smells of rotten meat.", "disgust"),
        ("I was terrified that somebody was in the house.", "fear"),
    ],
)
def test_a_clear_line_under_a_photograph_is_understood(
    line: str, expected: str, recognizer: mme2e.Recognizer, photograph: Path
) -> None:
    read = recognizer.infer(recognizer.perceive(photograph), line).batch.tokens
    assert EMOTIONS[int(recognizer.model(Batch(tokens=read, ids=("",))).argmax())] == expected


def test_an_answer_about_a_person(recognizer: mme2e.Recognizer, photograph: Path) -> None:
    result = recognizer.predict(photograph)
    assert result.used == ("visual",)
    assert sum(emotion.probability for emotion in result.emotions) == pytest.approx(1, abs=1e-5)
    assert result.uncertain == (result.top.probability < recognizer.abstain_below)
    assert set(result.missing) == {"text", "acoustic"}


def test_real_people(recognizer: mme2e.Recognizer, shared: Callable[[str], Path]) -> None:
    smiling = recognizer.predict(shared("media") / "single_face.mp4")
    assert smiling.top.name == "happy"
    nobody = recognizer.predict(shared("media") / "no_face.mp4")
    assert nobody.missing["visual"].startswith("no face in")
    assert "visual" not in nobody.used


def test_training_begins_with_its_network() -> None:
    settings = with_model_of_run(TrainSettings(init=InitSettings(run=STARTER)))
    assert settings.model == read_info(STARTER_FOLDER).model
    assert settings.model != ModelSettings()


def test_an_installation_without_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(starter, "STARTER_FOLDER", tmp_path)
    with pytest.raises(UserError, match="has no starter model"):
        find_run(STARTER)


def test_scores_and_coverage_are_beside_it() -> None:
    scores = json.loads((STARTER_FOLDER / "scores.json").read_text())
    assert set(scores["sets"]) == {"t", "a", "v", "ta", "tv", "av", "tav"}
    assert all(0 < each["scores"]["uar"] < 1 for each in scores["sets"].values())
    assert "curves" in json.loads((STARTER_FOLDER / "abstention.json").read_text())
