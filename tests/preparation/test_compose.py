"""Composite utterances from three prepared corpora."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shown import shown
from tiny_corpus import LABEL_NAMES, WORDS, write_tiny_corpus
from tiny_runs import TINY_MODEL

import mme2e
from mme2e.__main__ import main
from mme2e.config import TrainSettings
from mme2e.data.corpus import load_corpus
from mme2e.data.schema import ROW_SCHEMA, SPLITS
from mme2e.errors import UserError
from mme2e.faces.face_crop import FaceFlag

Row = dict[str, object]


def change_rows(folder: Path, split: str, **columns: object) -> None:
    """Gives all rows of a split the same values in some columns."""
    path = folder / split / "00000.parquet"
    rows = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist([row | columns for row in rows], schema=ROW_SCHEMA), path)


def keep_labels(folder: Path, split: str, *labels: str) -> None:
    path = folder / split / "00000.parquet"
    rows = [row for row in pq.read_table(path).to_pylist() if row["labels"][0] in labels]
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), path)


def rows_of(folder: Path, split: str) -> list[Row]:
    return load_corpus(folder).split(split).to_list()


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    return {
        name: write_tiny_corpus(tmp_path / name, seed=seed, utterances_per_split=9)
        for seed, name in enumerate(("audio", "faces", "text"))
    }


def test_parts_share_the_emotion_and_the_split(sources, tmp_path):
    made = mme2e.compose(**sources, out=tmp_path / "out")
    assert (made.counts, made.lacking, made.complete) == ({"train": 27, "valid": 9, "test": 9}, (), True)
    corpus = load_corpus(tmp_path / "out")
    assert corpus.info.label_names == LABEL_NAMES
    for split in SPLITS:
        audio = {row["id"]: row for row in rows_of(sources["audio"], split)}
        crops = {row["labels"][0]: set() for row in audio.values()}
        for row in rows_of(sources["faces"], split):
            crops[row["labels"][0]].update(row["face_crops"])
        rows = rows_of(tmp_path / "out", split)
        assert len({row["id"] for row in rows}) == len(rows)
        for row in rows:
            source = audio[row["id"].rpartition("_")[0]]
            same = ("recording", "speaker", "start_s", "end_s", "audio", "num_samples", "labels")
            assert {name: row[name] for name in same} == {name: source[name] for name in same}
            label = row["labels"][0]
            assert set(row["face_crops"]) <= crops[label]
            assert WORDS[LABEL_NAMES.index(label)] in row["text"]
            assert row.get("votes") is None
            times = row["start_s"] + 0.5 * np.arange(len(row["face_crops"]))
            np.testing.assert_allclose(row["face_times_s"], times)
            assert len(row["face_flags"]) == len(row["face_boxes"]) == len(row["face_crops"]) >= 4


def test_corpus_json_says_what_it_was_composed_of(sources, tmp_path):
    mme2e.compose(**sources, out=tmp_path / "out", seed=3)
    info = load_corpus(tmp_path / "out").info
    assert info.name == "composed:audio+faces+text"
    assert (info.multi_label, info.frame_interval_ms, info.split_protocol) == (False, 500, "tiny, by recording")
    assert info.provenance["composed of"] == {
        name: {"name": name, "corpus": "tiny", "fingerprint": load_corpus(folder).fingerprint}
        for name, folder in sources.items()
    }
    assert info.provenance["plan"] == {"fewest": 4, "most": 4, "copies": 3, "seed": 3, "partial": False}


def test_a_seed_decides(sources, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        mme2e.compose(**sources, out=tmp_path / name, seed=seed)
    assert rows_of(tmp_path / "a", "train") == rows_of(tmp_path / "b", "train")
    assert rows_of(tmp_path / "a", "train") != rows_of(tmp_path / "c", "train")


def test_rows_of_several_labels_and_without_the_modality_take_no_part(sources, tmp_path):
    change_rows(sources["audio"], "test", audio=None, num_samples=0)
    several = write_tiny_corpus(tmp_path / "several", multi_label=True, utterances_per_split=9)
    for folder, column in ((sources["faces"], {"face_flags": [int(FaceFlag.HELD)]}), (sources["text"], {"text": " "})):
        change_rows(folder, "valid", **column)
    sources["text"] = several
    made = mme2e.compose(**sources, out=tmp_path / "out")
    assert set(made.counts) == {"train"}
    assert [each for each in made.lacking if each.startswith("test")] == [
        f"test: '{label}' left out: no audio" for label in LABEL_NAMES
    ]
    single = {row["text"] for row in rows_of(several, "train") if len(row["labels"]) == 1}
    assert {row["text"] for row in rows_of(tmp_path / "out", "train")} <= single


def test_partial_composes_without_a_modality(sources, tmp_path):
    keep_labels(sources["audio"], "train", "angry", "happy")
    keep_labels(sources["faces"], "train", "angry", "sad")
    change_rows(sources["text"], "train", start_s=7.0)
    left_out = mme2e.compose(**sources, out=tmp_path / "whole")
    assert left_out.counts["train"] == 9
    made = mme2e.compose(**sources, out=tmp_path / "out", partial=True, photographs="1-3")
    assert made.counts["train"] == 27
    assert made.lacking == ("train: 'happy' composed without faces", "train: 'sad' composed without audio")
    assert "train: 'sad' composed without audio" in shown(made)
    for row in rows_of(tmp_path / "out", "train"):
        label = row["labels"][0]
        assert bool(row["face_crops"]) == (label != "happy")
        assert (row["num_samples"] > 0) == (row["audio"] is not None) == (label != "sad")
        if label == "sad":
            assert all(row[name].startswith("no-audio~") for name in ("id", "recording", "speaker"))
            assert (row["start_s"], row["end_s"]) == (0.0, 0.5 * len(row["face_crops"]))


def test_the_same_again_is_nothing_to_do_and_another_is_refused(sources, tmp_path):
    first = mme2e.compose(**sources, out=tmp_path / "out")
    again = mme2e.compose(**sources, out=tmp_path / "out")
    assert again.already_done
    assert "composed before" in shown(again)
    assert (again.groups, again.counts) == (first.groups, first.counts)
    with pytest.raises(UserError, match="holds another prepared corpus"):
        mme2e.compose(**sources, out=tmp_path / "out", copies=2)


@pytest.mark.parametrize("photographs", ["0", "3-2", "some", "1-", "0-4", "-1"])
def test_photographs_that_cannot_be(sources, tmp_path, photographs):
    with pytest.raises(UserError, match=rf"a range as 1-6, not '{photographs}'"):
        mme2e.compose(**sources, out=tmp_path / "out", photographs=photographs)


def test_nothing_to_compose_and_out_among_the_sources(sources, tmp_path):
    for split in SPLITS:
        change_rows(sources["text"], split, text=None)
    with pytest.raises(UserError, match=r"nothing can be composed: train: 'angry' left out: no text;"):
        mme2e.compose(**sources, out=tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
    with pytest.raises(UserError, match="is, or is within, the corpus"):
        mme2e.compose(**sources, out=sources["text"])


def test_ids_that_would_be_the_same_are_refused(sources, tmp_path):
    change_rows(sources["audio"], "valid", id="same")
    with pytest.raises(UserError, match="two composite utterances would be called 'same_0'"):
        mme2e.compose(**sources, out=tmp_path / "out")


def test_from_the_command_line_to_a_trained_run(sources, tmp_path, capsys):
    words = [word for name, folder in sources.items() for word in (f"--{name}", str(folder))]
    assert main(["compose", *words, "--out", str(tmp_path / "out"), "--photographs", "1-2", "--copies", "1"]) == 0
    assert "train angry" in capsys.readouterr().out
    assert main(["compose", *words, "--out", str(tmp_path / "other"), "--copies", "0"]) == 2
    assert capsys.readouterr().err == "mme2e: error: copies must be at least 1, not 0\n"
    settings = TrainSettings(model=TINY_MODEL, epochs=1, batch_size=4, num_workers=0, accelerator="cpu")
    trained = mme2e.train(settings, data=tmp_path / "out", out=tmp_path / "run")
    assert trained.best is not None
