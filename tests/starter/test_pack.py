"""Temperatures, abstention and half precision of a packed model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e.errors import UserError
from mme2e.evaluation.predictions import Predictions
from mme2e.records import load
from mme2e.runs.folder import load_run
from mme2e.scores.metrics import softmax
from mme2e.starter import validation
from mme2e.starter.card import CardFacts
from mme2e.starter.pack import halve, pack_starter


def drawn(temperature: float, utterances: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at a temperature."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (utterances, 4))
    chances = softmax(logits / temperature).cumsum(axis=1)
    chosen = (generator.random((utterances, 1)) > chances).sum(axis=1)
    return logits, np.arange(4) == chosen[:, None]


def predictions(sure: list[float], right: list[bool]) -> Predictions:
    """Of two emotions, the first of which is always the most probable one."""
    names = tuple(f"u{place}" for place in range(len(sure)))
    probabilities = np.array([[each, 1 - each] for each in sure])
    labels = np.array([[each, not each] for each in right])
    return Predictions(ids=names, probabilities=probabilities, labels=labels, recordings=names, speakers=names)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature):
    logits, labels = drawn(temperature)
    probabilities = softmax(logits)
    found = validation.fit_temperature(probabilities, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(validation.tempered(probabilities, 2.0), softmax(logits / 2.0), atol=1e-12)
    best = validation.negative_log_likelihood(validation.tempered(probabilities, found), labels)
    for other in (found / 1.2, found * 1.2):
        assert best < validation.negative_log_likelihood(validation.tempered(probabilities, other), labels)


def test_probabilities_of_zero_stay_finite():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]])
    labels = np.array([[False, True], [False, True]])
    assert np.isfinite(validation.negative_log_likelihood(validation.tempered(probabilities, 1.0), labels))
    assert validation.fit_temperature(probabilities, labels) > 1


def test_four_fifths_are_decided():
    sure = np.array([0.9, 0.3, 0.8, 0.5512, 0.7])
    assert validation.abstain_level(sure) == 0.551
    assert (sure >= validation.abstain_level(sure)).mean() == 0.8
    assert validation.abstain_level(sure, share=1.0) == 0.3
    assert validation.abstain_level(np.array([0.6])) == 0.6


def test_accuracy_by_coverage():
    points = validation.curve(
        predictions([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.52], [True] * 5 + [False] * 5)
    )
    assert [each.coverage for each in points] == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert [each.accuracy for each in points[:6]] == pytest.approx([0.5, 5 / 9, 5 / 8, 5 / 7, 5 / 6, 1.0])
    assert (points[0].level, points[-1].level) == (0.52, 0.95)


def test_scores_and_those_of_groups():
    both = predictions([0.9, 0.8, 0.7, 0.6], [True, True, False, True])
    found = validation.score(both, ("a", "b"))
    assert (found.utterances, found.accuracy, found.uar, found.recall) == (4, 0.75, 0.5, {"a": 1.0, "b": 0.0})
    groups = validation.score_groups(both, ("x", "", "y", "x"), ("a", "b"))
    assert {name: (each.utterances, each.accuracy) for name, each in groups.items()} == {"x": (2, 1.0), "y": (1, 0.0)}
    assert groups["x"].recall == {"a": 1.0}


def test_a_weight_too_large_for_half_precision_is_named():
    model = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(model.bias, 1e5)
    with pytest.raises(UserError, match=r"bias has weights beyond 65504, the most of 16 bits"):
        halve(model)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, dict[str, Path]]:
    folder = tmp_path_factory.mktemp("pack")
    run = write_tiny_run(folder / "run", loss="ce", model=TINY_MODEL)
    corpus = write_tiny_corpus(folder / "corpus")
    return run, dict.fromkeys(("t", "a", "v", "all"), corpus)


def test_packed_weights_are_the_rounded_ones_and_statistics_stay(places, tmp_path):
    run, corpora = places
    info = pack_starter(run, tmp_path / "model", corpora=corpora, card=CardFacts(), picture=tmp_path / "curve.png")
    before, after = (load_file(folder / "model.safetensors") for folder in (run, tmp_path / "model"))
    assert before.keys() == after.keys()
    for name, value in before.items():
        exact = "running_" in name or not value.is_floating_point() or value.dtype == torch.float64
        assert torch.equal(after[name], value if exact else value.half()), name
    loaded = load_run(tmp_path / "model").model.state_dict()
    assert all(torch.equal(loaded[name].double(), after[name].double()) for name in after)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    abstention = load(tmp_path / "model" / "abstention.json")
    assert abstention["level"] == info.confidence.abstain_below
    assert set(abstention["curves"]) == {"t", "a", "v", "ta", "tv", "av", "tav", "pooled"}
    scores = load(tmp_path / "model" / "scores.json")["sets"]
    assert all(scores[one]["log_loss_with_temperature"] <= scores[one]["log_loss"] + 1e-6 for one in "tav")


def test_half_of_the_branches_is_what_they_began_with(places, tmp_path):
    run, corpora = places
    began = write_tiny_run(tmp_path / "began", loss="ce", model=TINY_MODEL, seed=7)
    pack_starter(
        run, tmp_path / "model", corpora={"t": corpora["t"]}, card=CardFacts(), branches={"v": began}, share=0.25
    )
    after, before, packed = (load_file(folder / "model.safetensors") for folder in (run, began, tmp_path / "model"))
    name = "visual.head.weight"
    torch.testing.assert_close(packed[name], (0.75 * after[name] + 0.25 * before[name]).half())
    for name in ("acoustic.head.weight", "text.head.weight", "fusion.weight"):
        assert torch.equal(packed[name], after[name].half())


def test_composites_do_not_make_it_surer(places, tmp_path):
    run, corpora = places
    info = pack_starter(run, tmp_path / "model", corpora=corpora, card=CardFacts())
    assert all(value >= 1 for letters, value in info.confidence.temperatures.items() if len(letters) > 1)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none(share, places, tmp_path):
    run, corpora = places
    with pytest.raises(UserError, match="blend must be in"):
        pack_starter(run, tmp_path / "model", corpora=corpora, card=CardFacts(), branches={"v": run}, share=share)


def test_packing_again_does_nothing_or_replaces(places, tmp_path):
    run, corpora = places
    out = tmp_path / "model"
    pack_starter(run, out, corpora=corpora, card=CardFacts(encoder="One"))
    changed = (out / "README.md").stat().st_mtime_ns
    pack_starter(run, out, corpora=corpora, card=CardFacts(encoder="One"))
    assert (out / "README.md").stat().st_mtime_ns == changed
    pack_starter(run, out, corpora=corpora, card=CardFacts(encoder="Another", lacking=("without much",)))
    assert "Of this build: without much." in (out / "README.md").read_text(encoding="utf-8")
    assert "| text | Another, cut down | not given |" in (out / "README.md").read_text(encoding="utf-8")


def test_scores_of_collections_that_were_left_out_come_into_the_card(places, tmp_path):
    run, corpora = places
    (tmp_path / "left_out.json").write_text('{"EMO-DB": {"utterances": 83, "accuracy": 0.4, "uar": 0.25}}')
    out = tmp_path / "model"
    pack_starter(run, out, corpora={"t": corpora["t"]}, card=CardFacts(), transfer=tmp_path / "left_out.json")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| EMO-DB | 83 | 40.0 % | 25.0 % |" in card
    assert "| audio |" not in card
    assert f"guessing has {100 / len(LABEL_NAMES):.1f} %" in card


def test_what_cannot_be_packed(places, tmp_path):
    run, corpora = places
    with pytest.raises(UserError, match=r"takes \d+ bytes in half precision; a starter may have 1000"):
        pack_starter(run, tmp_path / "model", corpora=corpora, card=CardFacts(), most_bytes=1000)
    assert not (tmp_path / "model").exists()
    with pytest.raises(UserError, match="holds other files"):
        pack_starter(run, run, corpora=corpora, card=CardFacts())
    with pytest.raises(UserError, match="cannot be validated"):
        pack_starter(run, tmp_path / "model", corpora={}, card=CardFacts())
    several = write_tiny_run(tmp_path / "several")
    with pytest.raises(UserError, match="its loss must be ce, not bce"):
        pack_starter(several, tmp_path / "model", corpora=corpora, card=CardFacts())
