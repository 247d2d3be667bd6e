import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mme2e.corpora.utterance import Skipped
from mme2e.errors import UserError
from mme2e.reference.features import ReferenceFeatures, read_reference_features

LEFT, RIGHT = "Ses01F_impro01_F000", "Ses01F_impro01_M000"


def dump(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content, 4))


@pytest.fixture
def iemocap(tmp_path: Path) -> Path:
    folder = tmp_path / "IEMOCAP_HCF_FEATURES"
    for phase, id_ in (("train", LEFT), ("valid", RIGHT), ("test", "Ses02F_impro01_F000")):
        vectors = {f"image_{side}_{i}": np.full(40, i + 100 * (side == "R")) for i in (0, 10, 2) for side in "LR"}
        sounds = {side: np.arange(12).reshape(4, 3) + 100 * (side == "R") for side in "LR"}
        dump(folder / f"{phase}_text_features.pt", {id_: np.ones((2, 300))})
        dump(folder / f"{phase}_audio_features.pt", {id_: sounds})
        dump(folder / f"{phase}_video_features.pt", {id_: vectors})
    return tmp_path


@pytest.fixture
def mosei(tmp_path: Path) -> Path:
    for phase in ("train", "valid", "test"):
        content = {
            "id": np.array([f"-{phase}_0", f"{phase}_1"]),
            "text": np.ones((2, 5, 300)),
            "audio": np.full((2, 5, 74), np.inf),
            "vision": np.zeros((2, 5, 35)),
        }
        dump(tmp_path / "MOSEI_HCF_FEATURES" / f"mosei_senti_hcf_{phase}.pkl", content)
    return tmp_path


def read(folder: Path, corpus) -> dict[str, ReferenceFeatures | Skipped]:
    found = list(read_reference_features(folder, corpus=corpus))
    return {each.item if isinstance(each, Skipped) else each.id: each for each in found}


def test_of_a_turn_the_side_of_the_speaker_is_read_frames_first(iemocap: Path):
    found = read(iemocap, "iemocap")
    assert list(found) == [LEFT, RIGHT, "Ses02F_impro01_F000"]
    left, right = found[LEFT], found[RIGHT]
    assert left.text.shape == (2, 300)
    assert left.acoustic.dtype == left.visual.dtype == np.float32
    np.testing.assert_array_equal(left.acoustic, np.arange(12).reshape(4, 3).T)
    np.testing.assert_array_equal(right.acoustic, np.arange(12).reshape(4, 3).T + 100)
    assert left.visual.shape == (3, 35)
    np.testing.assert_array_equal(left.visual[:, 0], [0, 2, 10])
    np.testing.assert_array_equal(right.visual[:, 0], [100, 102, 110])


def test_action_units_are_the_last_columns(iemocap: Path):
    path = iemocap / "IEMOCAP_HCF_FEATURES" / "train_video_features.pt"
    dump(path, {LEFT: {"image_L_0": np.arange(709)}})
    np.testing.assert_array_equal(read(iemocap, "iemocap")[LEFT].visual, [np.arange(709 - 35, 709)])


def test_tensors_are_read(iemocap: Path):
    torch.save({LEFT: torch.ones(2, 300)}, iemocap / "IEMOCAP_HCF_FEATURES" / "train_text_features.pt")
    assert read(iemocap, "iemocap")[LEFT].text.shape == (2, 300)


def test_what_an_utterance_lacks_is_none(iemocap: Path):
    folder = iemocap / "IEMOCAP_HCF_FEATURES"
    dump(folder / "train_audio_features.pt", {})
    dump(folder / "train_video_features.pt", {LEFT: {"image_R_0": np.ones(40)}})
    (folder / "train_text_features.pt").unlink()
    found = read(iemocap, "iemocap")
    assert (found[LEFT].text, found[LEFT].acoustic, found[LEFT].visual) == (None, None, None)
    assert found["train_text_features.pt"].reason == "missing"


@pytest.mark.parametrize("broken", [{LEFT: {"L": np.ones(3)}}, {LEFT: {"L": "noise"}}, {LEFT: [1]}])
def test_features_of_another_shape_are_told(iemocap: Path, broken: object):
    dump(iemocap / "IEMOCAP_HCF_FEATURES" / "train_audio_features.pt", broken)
    assert "its features are not usable" in read(iemocap, "iemocap")[LEFT].reason


def test_clips_are_read(mosei: Path):
    found = read(mosei, "mosei")
    assert list(found) == ["-train_0", "train_1", "-valid_0", "valid_1", "-test_0", "test_1"]
    first = found["-train_0"]
    assert (first.text.shape, first.acoustic.shape, first.visual.shape) == ((5, 300), (5, 74), (5, 35))


def test_clips_of_different_lengths_are_read(mosei: Path):
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.ones((3, 35)), np.ones((0, 35))]
    path = mosei / "MOSEI_HCF_FEATURES" / "mosei_senti_hcf_train.pkl"
    dump(path, {"id": ["a_0", b"a_1"], "text": [np.ones((1, 300))] * 2, "audio": [[], None], "vision": ragged})
    found = read(mosei, "mosei")
    assert found["a_0"].visual.shape == (3, 35)
    assert found["a_1"].visual is None


def test_files_that_are_not_there_or_not_right_are_user_errors(mosei: Path):
    folder = mosei / "MOSEI_HCF_FEATURES"
    with pytest.raises(UserError, match="has no folder IEMOCAP_HCF_FEATURES"):
        read(mosei, "iemocap")
    dump(folder / "mosei_senti_hcf_train.pkl", {"id": ["a"], "text": []})
    with pytest.raises(UserError, match="id, text, audio and vision of one length are expected"):
        read(mosei, "mosei")
    dump(folder / "mosei_senti_hcf_train.pkl", [1])
    with pytest.raises(UserError, match="holds a list"):
        read(mosei, "mosei")
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UserError, match="has no features of any utterance"):
        read(mosei, "mosei")


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


def test_code_is_refused(mosei: Path):
    dump(mosei / "MOSEI_HCF_FEATURES" / "mosei_senti_hcf_valid.pkl", {"id": Runs()})
    with pytest.raises(UserError, match="which is not allowed"):
        read(mosei, "mosei")
