"""Training that starts from the branches of another run."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_corpus import write_tiny_corpus
from tiny_features import write_tiny_features
from tiny_runs import TINY_MODEL

from mme2e.config import InitSettings, ModelSettings, TextSettings, TrainSettings
from mme2e.errors import UserError
from mme2e.models import build_model
from mme2e.runs.folder import load_run
from mme2e.training.initial_weights import InitialWeights, load_initial, with_model_of_run
from mme2e.training.train import train

LABELS = ("angry", "happy", "sad")
TINY = TrainSettings(
    model=TINY_MODEL,
    epochs=1,
    batch_size=4,
    learning_rate=1e-9,  # weights stay what they are at the start
    num_workers=0,
    accelerator="cpu",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_features(write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny", 4))


@pytest.fixture(scope="module")
def first(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(TINY, data=corpus, out=tmp_path_factory.mktemp("first") / "run").run


def starting_from(run: Path, taken: str | None = None, /, **model: object) -> TrainSettings:
    changed = dataclasses.replace(TINY.model, **model)
    return dataclasses.replace(TINY, seed=1, model=changed, init=InitSettings(run=str(run), modalities=taken))


def same_branches(one: Path, other: Path) -> set[str]:
    """Branches whose weights (not running averages) are equal."""
    before, after = load_run(one).model.state_dict(), load_run(other).model.state_dict()
    keys = [key for key in before if key in after and key.endswith(("weight", "bias"))]
    equal = {key: before[key].shape == after[key].shape and torch.allclose(before[key], after[key], atol=1e-6)
             for key in keys}  # fmt: skip
    branches = {key.split(".")[0] for key in keys}
    return {branch for branch in branches if all(equal[key] for key in keys if key.startswith(branch + "."))}


def test_all_branches_and_the_fusion(corpus: Path, first: Path, tmp_path: Path) -> None:
    train(starting_from(first), data=corpus, out=tmp_path / "run")
    assert same_branches(first, tmp_path / "run") == {"text", "acoustic", "visual", "fusion"}


def test_named_branches_only(corpus: Path, first: Path, tmp_path: Path) -> None:
    train(starting_from(first, "ta"), data=corpus, out=tmp_path / "run")
    # Fusion weights start equal in any case.
    assert same_branches(first, tmp_path / "run") - {"fusion"} == {"text", "acoustic"}


def test_words_come_with_their_tokenizer(corpus: Path, first: Path, tmp_path: Path) -> None:
    nowhere = TextSettings(model="nowhere/at-all")
    train(starting_from(first, "t", text=nowhere, modalities="tv"), data=corpus, out=tmp_path / "run")
    assert same_branches(first, tmp_path / "run") - {"fusion"} == {"text"}
    before, after = load_run(first).tokenizer, load_run(tmp_path / "run").tokenizer
    assert before.get_vocab() == after.get_vocab()


def test_a_baseline_keeps_the_scale_of_its_features(corpus: Path, tmp_path: Path) -> None:
    model = ModelSettings(name="lf_rnn")
    settings = dataclasses.replace(TINY, model=model)
    train(settings, data=corpus, out=tmp_path / "one")
    again = dataclasses.replace(settings, seed=1, init=InitSettings(run=str(tmp_path / "one"), modalities="v"))
    initial = load_initial(again, LABELS)
    assert isinstance(initial, InitialWeights)
    (source,) = initial.sources
    assert not source.with_fusion
    assert initial.text is None
    network = load_run(tmp_path / "one").model
    network.load_state_dict({key: value + 1 for key, value in network.state_dict().items()})
    initial.copy_into(network, "lf_rnn")
    weights, loaded = network.state_dict(), source.run.model.state_dict()
    for key, value in weights.items():
        taken = key.startswith("branches.visual.")
        assert torch.equal(value, loaded[key] if taken else loaded[key] + 1)
    assert "branches.visual.standardise.mean" in weights


def test_without_a_run_it_starts_at_random() -> None:
    assert load_initial(TINY, LABELS) is None


@pytest.mark.parametrize(
    ("modalities", "model", "told"),
    [
        (None, {"trans_dim": 16}, "does not fit: .* there and .* here"),
        (None, {"name": "mesm"}, "is fe2e, which does not fit this mesm: this one has no acoustic"),
        (None, {"name": "lf_rnn", "modalities": "t"}, "is fe2e, which does not fit this lf_rnn"),
        ("v", {"modalities": "ta"}, "can be some of 'ta', not 'v'"),
    ],
)
def test_what_does_not_fit_is_refused(
    modalities: str | None, model: dict[str, object], told: str, first: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        train(starting_from(first, modalities, **model), data=corpus, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_emotions_get_a_new_head_and_the_towers_stay(corpus: Path, first: Path, tmp_path: Path) -> None:
    with_joy = dataclasses.replace(starting_from(first), seed=5)
    initial = load_initial(with_joy, ("Anger", "joy", "bored"))
    assert initial is not None
    torch.manual_seed(1)
    text = initial.text
    assert text is not None
    model = build_model(with_joy.model, num_emotions=3, text_encoder=text.encoder)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    initial.copy_into(model, "fe2e")
    weights, theirs = model.state_dict(), load_run(first).model.state_dict()
    for name in ("text.head.weight", "visual.head.bias", "acoustic.head.weight"):
        assert torch.equal(weights[name][0], theirs[name][0])  # Anger is their angry, joy their happy
        assert torch.equal(weights[name][1], theirs[name][1])
        assert torch.equal(weights[name][2], fresh[name][2])  # bored is new
    assert all(torch.equal(weights[name], theirs[name]) for name in weights if "head." not in name)
    (line,) = initial.remarks()
    assert line.endswith("taken over are Anger = angry, joy = happy; learned anew bored")


def test_the_same_emotions_in_another_order_are_no_reason_to_mix_them_up(first: Path) -> None:
    initial = load_initial(starting_from(first), ("sad", "angry", "happy"))
    assert initial is not None
    text = initial.text
    assert text is not None
    model = build_model(TINY.model, num_emotions=3, text_encoder=text.encoder)
    initial.copy_into(model, "fe2e")
    theirs = load_run(first).model.state_dict()["visual.head.weight"]
    assert torch.equal(model.state_dict()["visual.head.weight"], theirs[[2, 0, 1]])


def test_branches_of_different_runs(corpus: Path, first: Path, tmp_path: Path) -> None:
    faces = train(dataclasses.replace(TINY, seed=3), data=corpus, out=tmp_path / "faces").run
    init = InitSettings(run=str(first), visual_run=str(faces))
    train(dataclasses.replace(TINY, seed=4, init=init), data=corpus, out=tmp_path / "run")
    assert same_branches(first, tmp_path / "run") - {"fusion"} == {"text", "acoustic"}
    assert same_branches(faces, tmp_path / "run") - {"fusion"} == {"visual"}
    lacking = InitSettings(visual_run=str(first))
    with pytest.raises(
        UserError, match=r"init\.visual_run .* has modalities 'tav' and the model 'ta': both must have v"
    ):
        load_initial(dataclasses.replace(starting_from(first, None, modalities="ta"), init=lacking), LABELS)


def test_the_network_is_that_of_the_run_unless_something_is_said_of_it(first: Path) -> None:
    init = InitSettings(run=str(first))
    assert with_model_of_run(TrainSettings(init=init)).model == TINY.model
    only_text = with_model_of_run(TrainSettings(model=ModelSettings(modalities="t"), init=init)).model
    assert only_text == dataclasses.replace(TINY.model, modalities="t")
    larger = TrainSettings(model=ModelSettings(trans_dim=32), init=init)
    assert with_model_of_run(larger) is larger


@pytest.mark.parametrize(
    ("values", "told"),
    [({"modalities": "t"}, "require init.run"), ({"run": "x", "modalities": "tt"}, "each once, not 'tt'")],
)
def test_contradictory_settings(values: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        InitSettings(**values)
