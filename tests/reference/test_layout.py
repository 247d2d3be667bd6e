import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mme2e.errors import UserError
from mme2e.generated.encoding import write_wav
from mme2e.reference.layout import read_reference

TURNS = ("Ses01F_impro01_F000", "Ses01F_impro01_M000", "Ses01F_script01_1_F000")
SIX = {"iemocap": "ang", "mosei": [0, 1, 0, 0, 0, 1]}


def write_utterance(folder: Path, images: list[str], sounds: dict[str, int], seconds: float = 1.0) -> None:
    folder.mkdir(parents=True)
    for name in images:
        Image.new("RGB", (8, 8)).save(folder / name)
    for name, channels in sounds.items():
        write_wav(folder / name, np.zeros((int(16000 * seconds), channels), np.int16))


def write_meta(main: Path, meta: object) -> None:
    main.mkdir(parents=True, exist_ok=True)
    (main / "meta.pkl").write_bytes(pickle.dumps(meta))


@pytest.fixture
def iemocap(tmp_path: Path) -> Path:
    main = tmp_path / "IEMOCAP_RAW_PROCESSED"
    images = [f"image_{side}_{i}.jpg" for side in "LR" for i in range(30)]
    for turn in TURNS:  # the folder of a scripted dialogue has the first two parts of its id
        sounds = {"audio.wav": 2, "audio_L.wav": 1, "audio_R.wav": 1}
        write_utterance(main / "_".join(turn.split("_")[:2]) / turn, images, sounds)
    write_meta(main, {turn: {"text": f" {turn}: words ", "label": "ang", "sr": 16000} for turn in TURNS})
    return tmp_path


@pytest.fixture
def mosei(tmp_path: Path) -> Path:
    main = tmp_path / "MOSEI_RAW_PROCESSED"
    write_utterance(main / "-a_b_0", [f"image_{i}.jpg" for i in range(12)], {"audio.wav": 1}, 0.4)
    write_utterance(main / "-a_b_11", [f"image_{i}.jpg" for i in range(12)], {"audio.wav": 1}, 0.4)
    write_meta(main, {id_: {"text": "so", "label": SIX["mosei"]} for id_ in ("-a_b_0", "-a_b_11")})
    return tmp_path


def test_turns_have_the_pictures_and_the_sound_of_their_speaker(iemocap: Path):
    corpus = read_reference(iemocap, corpus="iemocap")
    assert (corpus.name, corpus.multi_label, corpus.skipped) == ("iemocap", False, ())
    woman, man, scripted = corpus.utterances
    assert [woman.id, man.id, scripted.id] == list(TURNS)
    assert (woman.recording, woman.speaker, woman.labels) == ("Ses01F_impro01", "Ses01F", ("ang",))
    assert (scripted.recording, man.speaker) == ("Ses01F_script01_1", "Ses01M")
    assert (woman.start_s, woman.end_s, woman.images_per_s, woman.region) == (0, None, 30, None)
    assert woman.text == "Ses01F_impro01_F000: words"
    assert [path.name for path in woman.images] == [*(f"image_L_{i}.jpg" for i in range(30)), "image_L_29.jpg"]
    assert man.images[0].name == "image_R_0.jpg"
    assert (woman.audio.name, man.audio.name) == ("audio_L.wav", "audio_R.wav")
    assert woman.audio_channel is None
    assert woman.split is None


def test_without_a_sound_for_each_side_the_channel_is_taken(iemocap: Path):
    for path in iemocap.rglob("audio_?.wav"):
        path.unlink()
    woman, man, _ = read_reference(iemocap, corpus="iemocap").utterances
    assert (woman.audio.name, woman.audio_channel, man.audio_channel) == ("audio.wav", 0, 1)


def test_clips_have_their_video_and_images_by_number(mosei: Path):
    corpus = read_reference(mosei, corpus="mosei")
    first, second = corpus.utterances
    assert (first.id, first.recording, first.speaker) == ("-a_b_0", "-a_b", "-a_b")
    assert second.labels == ("disgust", "surprise")
    assert [path.name for path in second.images[:12]] == [f"image_{i}.jpg" for i in range(12)]
    assert corpus.multi_label


@pytest.mark.parametrize(
    ("corpus", "label", "labels"),
    [
        ("iemocap", 5, ("sad",)),
        ("iemocap", np.int64(0), ("ang",)),
        ("iemocap", [0, 0, 1, 0, 0, 0], ("fru",)),
        ("iemocap", np.array([0, 0, 0, 0.7, 0, 0]), ("hap",)),
        ("mosei", [0, 0, 0, 0, 0, 0], ()),
        ("mosei", np.array([0, 0.33, 0, 2, -1, 0]), ("disgust", "happiness")),
        ("mosei", (1, 1, 1, 1, 1, 1), ("anger", "disgust", "fear", "happiness", "sadness", "surprise")),
    ],
)
def test_labels_come_in_several_forms(request, corpus, label, labels: tuple[str, ...]):
    folder: Path = request.getfixturevalue(corpus)
    id_ = {"iemocap": TURNS[0], "mosei": "-a_b_0"}[corpus]
    write_meta(folder / f"{corpus.upper()}_RAW_PROCESSED", {id_: {"text": "x", "label": label}})
    assert read_reference(folder, corpus=corpus).utterances[0].labels == labels


@pytest.mark.parametrize("label", ["xxx", 6, -1, True, None, [1, 1, 0, 0, 0, 0], [0] * 6, [1, 0]])
def test_another_iemocap_label_is_skipped_with_the_reason(iemocap: Path, label: object):
    meta = {TURNS[0]: {"text": "x", "label": label}, TURNS[1]: {"text": "x", "label": "sad"}}
    write_meta(iemocap / "IEMOCAP_RAW_PROCESSED", meta)
    corpus = read_reference(iemocap, corpus="iemocap")
    assert [u.id for u in corpus.utterances] == [TURNS[1]]
    assert corpus.skipped[0].item == TURNS[0]
    assert "label" in corpus.skipped[0].reason


@pytest.mark.parametrize("label", ["anger", [1, 0], None, [float("nan")] * 6, 3])
def test_another_mosei_label_is_skipped_with_the_reason(mosei: Path, label: object):
    write_meta(mosei / "MOSEI_RAW_PROCESSED", {"-a_b_0": {"label": label}, "-a_b_11": {"label": [0] * 6}})
    corpus = read_reference(mosei, corpus="mosei")
    assert [(u.id, u.text) for u in corpus.utterances] == [("-a_b_11", None)]
    assert "is not 6 numbers" in corpus.skipped[0].reason


def test_what_does_not_fit_together_is_told(mosei: Path):
    main = mosei / "MOSEI_RAW_PROCESSED"
    meta = {id_: {"text": "so", "label": SIX["mosei"]} for id_ in ("-a_b_0", "gone_1", "odd")}
    write_meta(main, {**meta, "bad_1": ["so"]})
    (main / "._-a_b_0").mkdir()
    reasons = {s.item: s.reason for s in read_reference(mosei, corpus="mosei").skipped}
    assert reasons == {
        "bad_1": "its entry in meta.pkl has no label",
        "gone_1": "in meta.pkl, but it has no folder",
        "odd": "its id is not 'video_number'",
        "-a_b_11": "not in meta.pkl",
    }


def test_a_second_folder_of_a_turn_is_told(iemocap: Path):
    write_utterance(iemocap / "IEMOCAP_RAW_PROCESSED" / "again" / TURNS[0], [], {})
    corpus = read_reference(iemocap, corpus="iemocap")
    assert corpus.skipped[0].reason == f"second folder of {TURNS[0]}"
    assert len(corpus.utterances) == 3


def test_missing_images_keep_the_times_of_the_others(mosei: Path):
    folder = mosei / "MOSEI_RAW_PROCESSED" / "-a_b_0"
    for number in (3, 4):
        (folder / f"image_{number}.jpg").unlink()
    corpus = read_reference(mosei, corpus="mosei")
    names = [path.name for path in corpus.utterances[0].images]
    assert names[2:6] == ["image_2.jpg", "image_2.jpg", "image_2.jpg", "image_5.jpg"]
    assert corpus.skipped[0].reason == "2 of 12 images missing: those before stand in"


def test_an_utterance_without_images_or_sound_is_kept(mosei: Path):
    for path in (mosei / "MOSEI_RAW_PROCESSED" / "-a_b_0").iterdir():
        path.unlink()
    first = read_reference(mosei, corpus="mosei").utterances[0]
    assert (first.images, first.audio, first.text) == ((), None, "so")


def test_the_lists_give_the_splits(iemocap: Path):
    lists = iemocap / "IEMOCAP_SPLIT"
    lists.mkdir()
    for split, ids in zip(("train", "valid", "test"), (TURNS[0], TURNS[1], "Ses05F_impro01_F000"), strict=True):
        (lists / f"{split}_split.txt").write_text(f"{ids}\n")
    corpus = read_reference(iemocap, corpus="iemocap")
    assert [u.split for u in corpus.utterances] == ["train", "valid"]
    assert corpus.split_protocol.startswith("lists (IEMOCAP_SPLIT: 1/1/1; published")
    assert {s.item: s.reason for s in corpus.skipped} == {
        TURNS[2]: "in no list of IEMOCAP_SPLIT",
        "Ses05F_impro01_F000": "in the split lists, but not in the corpus",
    }


@pytest.mark.parametrize("source_fps", [2, 15, 60])
def test_images_that_come_at_another_rate_are_a_user_error(iemocap: Path, source_fps: float):
    with pytest.raises(UserError, match=r"there are 30 images a second, not .*; --source-fps 30 may be right"):
        read_reference(iemocap, corpus="iemocap", source_fps=source_fps)


def test_a_damaged_sound_is_left_for_preparation_to_name(mosei: Path):
    (mosei / "MOSEI_RAW_PROCESSED" / "-a_b_0" / "audio.wav").write_text("noise")
    assert len(read_reference(mosei, corpus="mosei").utterances) == 2


class Runs:
    def __reduce__(self):
        return os.system, ("touch proof",)


def test_a_meta_that_tries_to_run_code_is_refused(mosei: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(mosei)
    write_meta(mosei / "MOSEI_RAW_PROCESSED", Runs())
    with pytest.raises(UserError, match=r"meta\.pkl would load \w+\.system, which is not allowed"):
        read_reference(mosei, corpus="mosei")
    assert not (mosei / "proof").exists()


def test_what_is_no_processed_layout_is_a_user_error(mosei: Path):
    with pytest.raises(UserError, match="has no folder IEMOCAP_RAW_PROCESSED"):
        read_reference(mosei, corpus="iemocap")
    with pytest.raises(UserError, match="does not exist"):
        read_reference(mosei / "nowhere", corpus="iemocap")
    with pytest.raises(UserError, match="source_fps must be above 0"):
        read_reference(mosei, corpus="mosei", source_fps=0)
    main = mosei / "MOSEI_RAW_PROCESSED"
    write_meta(main, ["a"])
    with pytest.raises(UserError, match=r"meta\.pkl holds a list"):
        read_reference(mosei, corpus="mosei")
    write_meta(main, {"a": {"label": SIX["mosei"]}})
    with pytest.raises(UserError, match="no usable utterance; the first reason: a: its id is not"):
        read_reference(mosei, corpus="mosei")
    (main / "meta.pkl").unlink()
    with pytest.raises(UserError, match=r"meta\.pkl cannot be read: No such file"):
        read_reference(mosei, corpus="mosei")
