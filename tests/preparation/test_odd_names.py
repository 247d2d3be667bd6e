"""Raw corpora whose names are odd: not UTF-8, like a protocol, behind links."""

import os
from pathlib import Path

import pytest
from small_recordings import mean_tracker, write_sound, write_video

from mme2e.config import PrepareSettings
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.ravdess import read_ravdess
from mme2e.data.corpus import load_corpus
from mme2e.preparation.corpus import prepare_corpus


def prepare(corpus, out: Path, source: str = "raw"):
    return prepare_corpus(corpus, out, PrepareSettings(), source=source, make_tracker=mean_tracker)


def texts_of(out: Path) -> str:
    """`corpus.json`, which is UTF-8 throughout."""
    return (out / "corpus.json").read_bytes().decode("utf-8")


def test_names_that_are_not_utf_8(tmp_path):
    raw = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xe4w"))
    raw.mkdir()
    write_sound(tmp_path / "sound.wav", 1)
    (tmp_path / "sound.wav").rename(raw / "caf\udce9.wav")
    (raw / "broken caf\udce9.wav").write_bytes(b"no sound")
    (raw / "own.csv").write_bytes(b"audio,labels,text\ncaf\xe9.wav,x,\nbroken caf\xe9.wav,y,Hi\n")
    summary = prepare(read_manifest(raw / "own.csv"), tmp_path / "out", source=raw.name)
    assert (summary.done, summary.failed) == (2, 1)
    rows = {row["id"]: row for split in ("train", "valid", "test") for row in rows_of(tmp_path / "out", split)}
    assert sorted(rows) == [r"broken caf\xe9", r"caf\xe9"]
    assert rows[r"caf\xe9"]["num_samples"] == 16000
    told = {item.item: item.reason for item in summary.skipped}
    assert r"broken caf\xe9.wav cannot be read" in told[r"broken caf\xe9"]
    assert r"r\\xe4w" in texts_of(tmp_path / "out")
    again = prepare(read_manifest(raw / "own.csv"), tmp_path / "out", source=raw.name)
    assert (again.done, again.already_done) == (0, 2)


def test_a_file_of_a_corpus_that_is_not_utf_8_is_told_escaped(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    write_sound(raw / "03-01-05-01-01-01-01.wav", 1)
    (raw / "caf\udce9.wav").touch()
    summary = prepare(read_ravdess(raw), tmp_path / "out")
    assert summary.done == 1
    assert [item.item for item in summary.skipped if "seven fields" in item.reason] == [r"caf\xe9.wav"]
    assert r"caf\\xe9.wav" in texts_of(tmp_path / "out")


@pytest.mark.parametrize("name", ["take:1", "concat:a", "http:b", "pipe:0"])
def test_a_name_like_a_protocol_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "video.mp4", 1).rename(tmp_path / f"{name}.mp4")
    write_sound(tmp_path / "sound.wav", 1).rename(tmp_path / f"{name}.wav")
    Path("own.csv").write_text(f"video,audio,labels\n{name}.mp4,{name}.wav,x\n")
    summary = prepare(read_manifest(Path("own.csv")), tmp_path / "out")
    assert (summary.done, summary.failed) == (1, 0)
    (row,) = [row for split in ("train", "valid", "test") for row in rows_of(tmp_path / "out", split)]
    assert (row["id"], len(row["face_crops"]), row["num_samples"]) == (name, 2, 16000)


def test_half_a_character_in_a_label(tmp_path):
    (tmp_path / "own.jsonl").write_text(r'{"text": "Hi", "labels": "x\ud83d", "id": "u\ud83d", "k\ud83d": 1}')
    prepare(read_manifest(tmp_path / "own.jsonl"), tmp_path / "out")
    assert r'"x\\ud83d"' in texts_of(tmp_path / "out")
    assert load_corpus(tmp_path / "out").info.label_names == (r"x\ud83d",)


def test_takes_behind_links(tmp_path):
    for i in range(1, 6):
        folder = tmp_path / "disk" / f"Actor_0{i}"
        folder.mkdir(parents=True)
        write_sound(folder / f"03-01-05-01-01-01-0{i}.wav", 1)
    (tmp_path / "raw").mkdir()
    for folder in (tmp_path / "disk").iterdir():
        (tmp_path / "raw" / folder.name).symlink_to(folder, target_is_directory=True)
    (tmp_path / "disk" / "Actor_01" / "loop").symlink_to(tmp_path / "raw", target_is_directory=True)
    assert prepare(read_ravdess(tmp_path / "raw"), tmp_path / "out").done == 5


def rows_of(out: Path, split: str) -> list[dict[str, object]]:
    corpus = load_corpus(out)
    return corpus.split(split).to_list() if corpus.info.counts.get(split) else []
