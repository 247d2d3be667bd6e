"""Every verb with markup in ids, texts, labels and the paths of files: none ends in a traceback or hides text."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from media_writing import write_sound
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e.__main__ import VERBS, main
from mme2e.data.schema import ROW_SCHEMA, CorpusInfo
from mme2e.reference.names import reference_name
from mme2e.runs.folder import load_run

ODD = "[/x][red]:smile:"
"""What closes nothing, what would be a style and disappear, and what would become another character."""

LAST = "x][red]:smile:"
"""Of a path: the part behind its last slash."""
LABELS = tuple(f"{ODD}{name}" for name in LABEL_NAMES)
WORDS_ONLY = """
model:
  modalities: t
  text: {model: scratch, vocab_size: 60, hidden_dim: 8, num_layers: 1, num_heads: 2}
  trans_dim: 8
  num_layers: 1
  num_heads: 2
  feedforward_dim: 16
epochs: 1
batch_size: 4
num_workers: 0
accelerator: cpu
"""


def odd(folder: Path, name: str) -> Path:
    path = folder / f"{ODD}{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A corpus, a run of MESM, settings, a checkpoint and a sound, all with odd names."""
    folder = odd(tmp_path_factory.mktemp("odd"), "place")
    corpus = write_tiny_corpus(odd(folder, "corpus"), 3)
    for file in corpus.glob("*/*.parquet"):
        rows = pq.read_table(file).to_pylist()
        for row in rows:
            for key in ("id", "recording", "speaker", "text"):
                row[key] = f"{ODD}{row[key]}"
            row["labels"] = [f"{ODD}{label}" for label in row["labels"]]
        pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), file)
    skipped = ({"item": f"{ODD}item", "reason": f"{ODD}reason"},)
    info = CorpusInfo.read(corpus)
    dataclasses.replace(
        info, name=f"{ODD}tiny", label_names=LABELS, split_protocol=f"{ODD}protocol", skipped=skipped
    ).write(corpus)
    mesm = dataclasses.replace(TINY_MODEL, name="mesm")
    write_tiny_run(odd(folder, "mesm"), model=mesm, label_names=LABELS)
    sound = dataclasses.replace(TINY_MODEL, modalities="a")
    weights = load_run(write_tiny_run(folder / "sound", model=sound, label_names=LABELS)).model.state_dict()
    torch.save({reference_name(name, "fe2e"): weight for name, weight in weights.items()}, odd(folder, "old.pt"))
    odd(folder, "train.yaml").write_text(WORDS_ONLY)
    tone = (3000 * np.sin(np.arange(8000) / 10)).astype(np.int16)
    write_sound(odd(folder, "tone.wav"), tone[None])
    return folder


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch) -> None:
    for name in ("plot_evaluation", "plot_reliability"):
        monkeypatch.setattr(f"mme2e.evaluation.score_run.{name}", lambda *_: b"")


@pytest.fixture
def said(capsys):
    """What a command prints, on standard output and standard error."""

    def run(verb: str, *words: object, status: int = 0) -> str:
        assert verb in VERBS
        assert main([verb, *map(str, words)]) == status
        return "".join(capsys.readouterr())

    return run


def test_sample(said, tmp_path) -> None:
    out = odd(tmp_path, "raw")
    assert f"{ODD}raw: 1 generated utterances" in said("sample", out, "--utterances", "1")


def test_prepare(said, tmp_path) -> None:
    tone = (3000 * np.sin(np.arange(8000) / 10)).astype(np.int16)
    write_sound(odd(tmp_path, "tone.wav"), tone[None])
    odd(tmp_path, "broken.wav").write_bytes(b"no sound")
    rows = ["id,audio,text,labels,speaker,split"]
    rows += [f"{ODD}{split},{ODD}tone.wav,{ODD}text,{ODD}joy,{ODD}Ann,{split}" for split in ("train", "valid", "test")]
    rows += [f"{ODD}lost,{ODD}broken.wav,,{ODD}joy,Ann,train"]
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    text = said("prepare", "manifest", tmp_path / "clips.csv", odd(tmp_path, "corpus"), status=1)
    assert f"{ODD}lost" in text
    assert f"{LAST}corpus" in "".join(text.split())


def test_audit(said, place, tmp_path) -> None:
    text = said("audit", odd(place, "corpus"), "--out", odd(tmp_path, "audit"))
    assert f"(first: {ODD}item)" in text
    assert f"split: {ODD}protocol" in text
    assert f"{ODD}happy" in "".join(text.split())


def test_features(said, place) -> None:
    assert ODD in said("features", odd(place, "corpus"), "--modalities", "t", "--text-size", "7")


def test_train(said, place, tmp_path) -> None:
    run = odd(tmp_path, "run")
    words = ["--data", odd(place, "corpus"), "--out", run]
    assert f"{ODD}run: best epoch 1" in said("train", "--config", odd(place, "train.yaml"), *words)
    text = said("train", "--config", odd(place, "train.yaml"), *words, "--resume")
    assert f"{ODD}run is finished after 1 epochs: nothing to resume" in text


def test_search(said, place, tmp_path) -> None:
    file = odd(tmp_path, "space.yaml")
    base = "\n".join(f"  {line}" for line in WORDS_ONLY.strip().splitlines())
    file.write_text(f"base:\n{base}\nspace:\n  batch_size: {{choices: [2, 4]}}\npruner: {{name: none}}\n")
    out = odd(tmp_path, "search")
    text = said("search", file, "--data", odd(place, "corpus"), "--out", out, "--trials", "1")
    assert f"{ODD}search: best is trial 0" in text


def test_evaluate(said, place, tmp_path) -> None:
    data = ["--data", odd(place, "corpus")]
    text = said("evaluate", odd(place, "mesm"), *data, "--out", odd(tmp_path, "one"))
    assert f"{ODD}happy" in text
    assert f"{LAST}mesm on {ODD}tiny test" in text
    text = said("evaluate", odd(place, "mesm"), *data, "--subsets", "--out", odd(tmp_path, "two"))
    assert f"split: {ODD}protocol" in text


def test_benchmark(said, place, tmp_path) -> None:
    words = ["--data", odd(place, "corpus"), "--out", odd(tmp_path, "out"), "--device", "cpu"]
    quick = ["--rounds", "1", "--utterances", "1", "--top-p", "0.5"]
    assert f"{LAST}mesm on {ODD}tiny test" in said("benchmark", odd(place, "mesm"), *words, *quick)


def test_experiment(said, place, tmp_path) -> None:
    file = odd(tmp_path, "grid.yaml")
    file.write_text(f'name: "{ODD}grid"\nbase_file: "{odd(place, "train.yaml")}"\n')
    with file.open("a") as more:
        more.write("variants: {words: {model.modalities: t}}\nseeds: [0]\nmetrics: [f1]\nbootstrap: {draws: 100}\n")
    words = [file, "--data", odd(place, "corpus"), "--out", odd(tmp_path, "out")]
    assert f"{ODD}grid" in said("experiment", *words, "--dry-run")
    text = said("experiment", *words)
    assert f"{ODD}out/results.md" in text
    assert f"split: {ODD}protocol" in text


def test_predict(said, place, tmp_path) -> None:
    words = ["--transcript", f"{ODD}what a day", "--device", "cpu", "--out", odd(tmp_path, "tone.json")]
    text = said("predict", odd(place, "tone.wav"), "--run", odd(place, "mesm"), *words)
    assert f"{LAST}tone.wav" in text
    assert f"{ODD}happy" in text


def test_picture(said, place, tmp_path) -> None:
    out, words = odd(tmp_path, "kept.png"), ["--data", odd(place, "corpus"), "--utterance", f"{ODD}test_000"]
    text = said("picture", odd(place, "mesm"), *words, "--out", out, "--device", "cpu")
    assert f"{ODD}kept.png: what" in text
    assert f"kept of utterance {ODD}test_000" in text
    assert ODD in said("picture", odd(place, "mesm"), *words, "--out", odd(tmp_path, "kept.doc"), status=2)


def test_import_checkpoint(said, place, tmp_path) -> None:
    words = ["--modalities", "a", "--num-heads", "2", "--label-names", ",".join(LABELS)]
    text = said("import-checkpoint", odd(place, "old.pt"), odd(tmp_path, "run"), *words)
    assert f"{ODD}run: ready; load it with mme2e.load(" in text


DATA = ("--data", ODD, "--out", ODD)
MISTAKES = {
    "sample": (ODD,),
    "prepare": ("iemocap", ODD, "out"),
    "merge": (ODD, "--out", "out"),
    "compose": ("--audio", ODD, "--faces", "faces", "--text", "text", "--out", "out"),
    "audit": (ODD,),
    "features": (ODD,),
    "train": DATA,
    "search": (ODD, *DATA),
    "evaluate": (ODD, *DATA),
    "benchmark": (ODD, *DATA),
    "experiment": (ODD, *DATA),
    "build-starter": (ODD, *DATA, "--encoder", "encoder"),
    "predict": ("clip.mp4", "--run", ODD),
    "picture": (ODD, "--utterance", ODD, *DATA),
    "import-checkpoint": (ODD, "out"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_mistakes(verb, said, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    if verb == "sample":
        odd(tmp_path, "").write_text("in the way")
    assert ODD in said(verb, *MISTAKES[verb], status=2)


def test_an_unknown_command(capsys) -> None:
    assert main([ODD]) == 2
    assert f"mme2e: error: unknown command '{ODD}'; choose from sample, " in capsys.readouterr().err
