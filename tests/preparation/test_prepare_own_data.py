"""From a manifest to a corpus that trains."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_recordings import mean_tracker, write_sound, write_video
from tiny_runs import TINY_MODEL

from mme2e.__main__ import main
from mme2e.config import PrepareSettings, TrainSettings
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.ravdess import read_ravdess
from mme2e.corpora.readers import READERS
from mme2e.corpora.splits import assign_splits
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.preparation.corpus import prepare_corpus
from mme2e.preparation.prepare import prepare
from mme2e.training.train import train

TINY = TrainSettings(
    model=TINY_MODEL,
    epochs=1,
    batch_size=4,
    num_workers=0,
    accelerator="cpu",
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Six clips a split of every kind, with labels of their own."""
    folder = tmp_path / "own"
    folder.mkdir()
    write_video(folder / "talk.mp4", 2)
    write_sound(folder / "talk.wav", 2)
    for i, grey in enumerate((50, 100, 150)):
        Image.new("RGB", (64, 64), (grey, grey, grey)).save(folder / f"still_{i}.png")
    (folder / "damaged.png").write_bytes((folder / "still_0.png").read_bytes()[:50])
    rows = ["video,images,audio,start_s,end_s,text,labels,speaker,split"]
    for split in ("train", "dev", "test"):
        rows += [
            f"talk.mp4,,talk.wav,0,1,all of it,bored,Ann,{split}",
            f"talk.mp4,,,1,,picture and words,keen,Ann,{split}",
            f",,talk.wav,,,,keen,Ben,{split}",
            f",still_*.png,,,,,bored,Ben,{split}",
            f",still_0.png|damaged.png,,,,,keen,Cay,{split}",
            f",,,,,words alone,bored,Cay,{split}",
        ]
    path = folder / "clips.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_votes_come_through_to_training(tmp_path):
    rows = ["text,speaker,split,v_sad,v_happy"]
    for split in ("train", "valid"):
        rows += [f"good day {i},s{i},{split},{i},{3 - i}" for i in range(4)] + [f"so so,s9,{split},0,0"]
    path = tmp_path / "voted.csv"
    path.write_text("\n".join(rows).replace("so so,s9,train,0,0", "so so,s9,train,1,9"), encoding="utf-8")
    corpus = tmp_path / "corpus"
    with pytest.raises(UserError, match=r"^targets votes requires --loss bce or ce, not mse"):
        replace(TINY, targets="votes", loss="mse")
    prepare("manifest", path, corpus, PrepareSettings())
    opened = load_corpus(corpus)
    assert opened.info.label_names == ("happy", "sad")
    order = [row["text"] for row in opened.split("train")]
    votes = dict(zip(order, opened.votes("train").tolist(), strict=True))
    assert votes == {
        "good day 0": [3, 0],
        "good day 1": [2, 1],
        "good day 2": [1, 2],
        "good day 3": [0, 3],
        "so so": [9, 1],
    }
    assert np.isnan(opened.votes("valid")).any(axis=1).sum() == 1
    settings = replace(TINY, model=replace(TINY_MODEL, modalities="t"), targets="votes")
    voted = train(settings, data=corpus, out=tmp_path / "voted")
    plain = train(replace(settings, targets="labels"), data=corpus, out=tmp_path / "plain")
    assert voted.best.train_loss != plain.best.train_loss
    path.write_text("text,labels,speaker,split\n" + "\n".join(f"w,{e},s,{s}" for e in "ab" for s in ("train", "valid")))
    prepare("manifest", path, tmp_path / "unvoted", PrepareSettings())
    with pytest.raises(UserError, match=r"^targets votes requires votes of annotators, and no training utterance of"):
        train(settings, data=tmp_path / "unvoted", out=tmp_path / "run")


def test_a_manifest_becomes_a_corpus_that_trains(manifest, tmp_path):
    summary = prepare_corpus(
        read_manifest(manifest), tmp_path / "corpus", PrepareSettings(), source="own", make_tracker=mean_tracker
    )
    assert summary.counts == {"train": 6, "valid": 6, "test": 6}
    assert summary.failed == 3  # the damaged image in each split
    corpus = load_corpus(tmp_path / "corpus")
    assert (corpus.info.name, corpus.info.label_names) == ("manifest:clips", ("bored", "keen"))
    rows = corpus.split("train").to_list()
    present = [(len(row["face_crops"]), row["num_samples"], row["text"]) for row in rows]
    assert sorted(present, key=str) == sorted(
        [
            (2, 16000, "all of it"),
            (2, 0, "picture and words"),
            (0, 32000, None),
            (3, 0, None),
            (1, 0, None),
            (0, 0, "words alone"),
        ],
        key=str,
    )
    result = train(TINY, data=tmp_path / "corpus", out=tmp_path / "run")
    assert np.isfinite(result.history[-1].train_loss)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())


def test_rows_without_split_are_given_one(manifest, tmp_path):
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n")
    summary = prepare_corpus(
        read_manifest(manifest), tmp_path / "corpus", PrepareSettings(), source="own", make_tracker=mean_tracker
    )
    assert sum(summary.counts.values()) == 18
    split_of = {}
    for split in summary.counts:
        for row in load_corpus(tmp_path / "corpus").split(split).to_list():
            assert split_of.setdefault(row["recording"], split) == split


def first_rows(shared, folder: Path, name: str) -> Path:
    """The first three rows of each split, with absolute paths."""
    source = shared(f"open/{name}.csv")
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for split in ("train", "valid") for row in [r for r in rows if r["split"] == split][:3]]
    for row in chosen:
        for column in ("image", "audio"):
            if column in row:
                row[column] = str(source.parent / row[column])
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(chosen)
    return path


@pytest.mark.parametrize("name", ["speech", "faces", "text"])
def test_open_human_data_prepare_and_train(shared, tmp_path, name, capsys):
    path = first_rows(shared, tmp_path, name)
    assert main(["prepare", "manifest", str(path), str(tmp_path / "corpus")]) == 0
    assert "train 3, valid 3" in capsys.readouterr().out
    modality = {"speech": "a", "faces": "v", "text": "t"}[name]
    settings = replace(TINY, model=replace(TINY.model, modalities=modality))
    result = train(settings, data=tmp_path / "corpus", out=tmp_path / "run")
    assert len(result.history) == 1


@pytest.mark.parametrize("layout", [name for name in READERS if name not in ("iemocap", "mosei")])
def test_nothing_to_prepare_is_one_line(layout, tmp_path, capsys):
    assert main(["prepare", layout, str(tmp_path), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mme2e: error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ravdess_is_split_by_actor(shared):
    corpus = assign_splits(read_ravdess(shared("open/speech")), PrepareSettings().split)
    splits = {}
    for utterance in corpus.utterances:
        splits.setdefault(utterance.speaker, set()).add(utterance.split)
    assert all(len(of_one) == 1 for of_one in splits.values())
    assert set.union(*splits.values()) == {"train", "valid", "test"}
    labels = {split: {u.labels for u in corpus.utterances if u.split == split} for split in ("train", "valid", "test")}
    assert all(len(found) == 8 for found in labels.values())


def test_every_reader_is_a_layout(tmp_path, capsys):
    assert main(["prepare", "nonsense", str(tmp_path), str(tmp_path / "out")]) == 2
    assert f"one of {', '.join(READERS)}, reference, not 'nonsense'" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"unknown layout 'nonsense'; choose from {', '.join(READERS)}"):
        prepare("nonsense", tmp_path, tmp_path / "out")
