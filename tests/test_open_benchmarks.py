"""The benchmarks on open collections that take a corpus: their logic, at toy sizes."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e.config import TrainSettings
from mme2e.data.corpus import load_corpus
from mme2e.records import to_yaml

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = ("smaller_corpus", "fine_tuning", "left_out", "real_attention", "fe2e", "instruction_sets")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fine_tuning
    import left_out
    import real_attention
    import smaller_corpus

    yield {"left": left_out, "fine": fine_tuning, "attention": real_attention, "smaller": smaller_corpus}
    for name in NAMES:
        sys.modules.pop(name, None)


def test_emotions_take_turns_and_more_clips_are_the_same_and_others(benchmarks: dict[str, ModuleType]) -> None:
    labels = ["sad"] * 50 + ["happy"] * 20 + ["fear"] * 2
    order = benchmarks["smaller"].in_turn(labels, seed=3)
    assert sorted(order) == list(range(72))
    assert Counter(labels[place] for place in order[:6]) == {"sad": 2, "happy": 2, "fear": 2}
    assert Counter(labels[place] for place in order[:20]) == {"sad": 9, "happy": 9, "fear": 2}
    assert order != benchmarks["smaller"].in_turn(labels, seed=4)
    assert order == benchmarks["smaller"].in_turn(labels, seed=3)


def test_a_smaller_corpus_has_all_of_validation_and_its_utterances_once(
    benchmarks: dict[str, ModuleType], tmp_path: Path
) -> None:
    source = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=9)
    for balanced in (True, False):
        out = tmp_path / f"part-{balanced}"
        assert benchmarks["smaller"].write_smaller(source, out, train=5, seed=0, balanced=balanced) == 5
        part = load_corpus(out)
        ids = part.columns("train", ["id"])["id"].to_pylist()
        assert len(set(ids)) == 5
        assert set(ids) <= set(load_corpus(source).columns("train", ["id"])["id"].to_pylist())
        assert part.info.counts == {"train": 5, "valid": 9}
        assert part.splits == ("train", "valid")
    assert benchmarks["smaller"].write_smaller(source, tmp_path / "all", train=50, seed=0, balanced=True) == 9


def test_fine_tuning_from_scratch_and_from_a_run(benchmarks: dict[str, ModuleType], tmp_path: Path) -> None:
    source = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=9)
    run = write_tiny_run(tmp_path / "run", model=TINY_MODEL, loss="ce")
    words = [str(source), str(tmp_path / "out"), "--start", f"mine={run}", "--clips", "3", "6", "--seeds", "1"]
    words += ["--epochs", "2", "--results", str(tmp_path / "results")]
    benchmarks["fine"].main(words)
    written = json.loads((tmp_path / "results" / "fine_tuning.json").read_text())["scores"]
    assert [(row["start"], row["clips"]) for row in written] == [
        ("mine", 0),
        ("from scratch", 3),
        ("mine", 3),
        ("from scratch", 6),
        ("mine", 6),
    ]
    assert all(0 <= row["uar"] <= 1 for row in written)
    assert (tmp_path / "results" / "fine_tuning.png").stat().st_size > 0
    assert "| 0 |" in (tmp_path / "results" / "fine_tuning.md").read_text()
    trained = [path.stat().st_mtime_ns for path in sorted((tmp_path / "out").rglob("model.safetensors"))]
    benchmarks["fine"].main(words)
    assert trained == [path.stat().st_mtime_ns for path in sorted((tmp_path / "out").rglob("model.safetensors"))]


def test_a_start_may_have_a_name_and_a_learning_rate(benchmarks: dict[str, ModuleType]) -> None:
    fine = benchmarks["fine"]
    assert fine.Start.parse("starter") == fine.Start(name="starter", run="starter", rate=fine.START_RATE)
    assert fine.Start.parse("runs/a") == fine.Start(name="a", run="runs/a", rate=fine.START_RATE)
    assert fine.Start.parse("fast=runs/a@1e-3") == fine.Start(name="fast", run="runs/a", rate=0.001)


def test_attention_on_faces(benchmarks: dict[str, ModuleType], tmp_path: Path) -> None:
    source = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=6)
    words = [str(source), str(tmp_path / "out"), "--photographs", "4", "--seeds", "1", "--epochs", "3"]
    benchmarks["attention"].main([*words, "--results", str(tmp_path / "results")])
    written = json.loads((tmp_path / "results" / "real_attention.json").read_text())
    assert [row["variant"] for row in written["runs"]] == ["fe2e", "frozen", "gate", "importance"]
    assert written["costs"]["fe2e"]["operations_share"] == 1
    assert written["costs"]["gate"]["operations_share"] < 1
    table = (tmp_path / "results" / "real_attention.md").read_text()
    assert "| importance | 1 |" in table


def test_settings_of_the_modes_differ_in_nothing_else(benchmarks: dict[str, ModuleType]) -> None:
    of = benchmarks["attention"].settings_of
    frozen, gate, fe2e = (of(name, seed=1, epochs=6) for name in ("frozen", "gate", "fe2e"))
    assert frozen.anneal_epochs == gate.anneal_epochs == 2
    assert fe2e.anneal_epochs == 0
    assert frozen.model.attention.mode == "frozen"
    assert fe2e.model.name == "fe2e"
    assert {settings.model.tower_channels for settings in (frozen, gate, fe2e)} == {(8, 16, 32, 64)}


def test_each_collection_from_the_other_alone(
    benchmarks: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(benchmarks["left"], "LABELS", LABEL_NAMES)
    names = ("one", "two")
    for seed, name in enumerate(names):
        write_tiny_corpus(tmp_path / name, utterances_per_split=6 + 3 * seed, seed=seed)
    config = tmp_path / "settings.yaml"
    settings = replace(TrainSettings(), model=replace(TINY_MODEL, modalities="a"), loss="ce")
    config.write_text(to_yaml(settings), encoding="utf-8")
    words = [str(tmp_path / "out"), *(f"{name.upper()}={tmp_path / name}=2" for name in names)]
    benchmarks["left"].main([*words, "--config", str(config), "--results", str(tmp_path / "results")])
    found = json.loads((tmp_path / "out" / "left_out.json").read_text())
    assert {name: each["utterances"] for name, each in found.items()} == {"TWO": 9, "ONE": 6}
    assert len((tmp_path / "results" / "left_out.md").read_text().splitlines()) >= 6


def test_a_collection_that_is_not_named_in_full_is_an_error(benchmarks: dict[str, ModuleType]) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=CORPUS=EPOCHS, not 'corpora/emodb'"):
        benchmarks["left"].Collection.parse("corpora/emodb")
