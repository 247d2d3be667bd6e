"""Training the baselines on hand-crafted features, and scoring them."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_features import SIZES, write_tiny_features

import mme2e
from mme2e.benchmarking.benchmark import benchmark
from mme2e.config import AugmentSettings, FeatureSettings, ModelSettings, RnnSettings, TrainSettings
from mme2e.data.corpus import load_corpus
from mme2e.data.features import load_features
from mme2e.data.hand_crafted import open_dataset, with_sizes
from mme2e.data.loader import make_dataloader
from mme2e.errors import UserError
from mme2e.evaluation.evaluate import evaluate
from mme2e.models import build_model
from mme2e.runs.folder import load_run
from mme2e.training.initial_weights import standardise
from mme2e.training.train import train

TINY = TrainSettings(
    model=ModelSettings(name="lf_rnn", num_layers=1, feedforward_dim=8, dropout=0.0),
    epochs=4,
    batch_size=4,
    learning_rate=1e-2,
    early_stop=0,
    num_workers=0,
    accelerator="cpu",
)
MODELS = {
    "lf_rnn": dataclasses.replace(TINY.model, rnn=RnnSettings(gru=True)),
    "lf_transformer": dataclasses.replace(TINY.model, name="lf_transformer"),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    folder = write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 12)
    return write_tiny_features(folder, lacks={"visual": {"train_000", "test_003"}})


@pytest.mark.parametrize("name", list(MODELS))
def test_a_baseline_learns_is_saved_and_is_scored(name: str, corpus: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, model=MODELS[name], epochs=6)
    result = train(settings, data=corpus, out=tmp_path / "run")
    assert result.best.valid_macro_f1 > 0.9

    info = load_run(tmp_path / "run").info
    found = info.model.features
    assert (found.text_size, found.acoustic_size, found.visual_size) == tuple(SIZES.values())
    assert info.provenance["text features"] == "tiny 1"
    assert not (tmp_path / "run" / "text_encoder").exists()
    assert "8 numbers a word" in (tmp_path / "run" / "README.md").read_text()

    evaluation = evaluate(tmp_path / "run", data=corpus)
    assert evaluation.macro_f1 > 0.9
    with pytest.raises(UserError, match=f"{name} reads hand-crafted features, not recordings"):
        mme2e.load(tmp_path / "run").predict("clip.mp4")
    with pytest.raises(UserError, match=f"run is {name}: what is measured is the cost of fe2e and mesm"):
        benchmark(tmp_path / "run", data=corpus)


def test_features_are_standardised_with_the_training_split(corpus: Path) -> None:
    features = load_features(load_corpus(corpus))
    settings = with_sizes(TINY.model, features)
    model = build_model(settings, num_emotions=3)
    standardise(model, settings, features)
    (batch,) = make_dataloader(open_dataset(load_corpus(corpus), "train", settings), batch_size=12)
    for name in SIZES:
        steps = model.branches[name].standardise(getattr(batch, f"{name}_features").values)
        np.testing.assert_allclose(steps.mean(dim=0), 0, atol=1e-4)
        np.testing.assert_allclose(steps.std(dim=0, unbiased=False), 1, atol=1e-3)


def test_resuming_is_exact(corpus: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, modality_dropout=0.5)
    straight = train(settings, data=corpus, out=tmp_path / "straight")
    cut = tmp_path / "cut"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mme2e.training.module.EmotionModule.on_train_epoch_end", _stop_after(2))
        with pytest.raises(KeyboardInterrupt):
            train(settings, data=corpus, out=cut)
    resumed = train(settings, data=corpus, out=cut, resume=True)
    assert [record.train_loss for record in resumed.history] == [record.train_loss for record in straight.history]
    weights = (load_run(folder).model.state_dict() for folder in (tmp_path / "straight", cut))
    assert all(torch.equal(a, b) for a, b in zip(*(each.values() for each in weights), strict=True))


def _stop_after(epochs: int):  # type: ignore[no-untyped-def]
    from mme2e.training.module import EmotionModule

    real = EmotionModule.on_train_epoch_end

    def stop(self: EmotionModule) -> None:
        if self.current_epoch == epochs:
            raise KeyboardInterrupt
        real(self)

    return stop


def test_features_made_anew_are_not_resumed_with(tmp_path: Path) -> None:
    corpus = write_tiny_features(write_tiny_corpus(tmp_path / "corpus", 6))
    train(dataclasses.replace(TINY, epochs=1), data=corpus, out=tmp_path / "run")
    write_tiny_features(corpus, lacks={"text": {"valid_000"}})
    with pytest.raises(UserError, match=r"--resume requires the corpus 'tiny .* with features"):
        train(dataclasses.replace(TINY, epochs=1), data=corpus, out=tmp_path / "run", resume=True)


def test_fewer_modalities_and_early_fusion(corpus: Path, tmp_path: Path) -> None:
    model = dataclasses.replace(TINY.model, modalities="at", fusion="early", feature_dim=4)
    train(dataclasses.replace(TINY, model=model, epochs=1), data=corpus, out=tmp_path / "run")
    info = load_run(tmp_path / "run").info
    assert info.model.features.visual_size is None
    saved = yaml.safe_load((tmp_path / "run" / "train_settings.yaml").read_text())
    assert saved["model"]["fusion"] == "early"
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["label_names"] == list(LABEL_NAMES)


class TestBadInput:
    def test_a_corpus_without_features(self, tmp_path: Path) -> None:
        corpus = write_tiny_corpus(tmp_path / "corpus", 3)
        with pytest.raises(UserError, match=r"corpus has no hand-crafted features; make them with 'mme2e features"):
            train(TINY, data=corpus, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_corpus_without_features_of_a_modality(self, tmp_path: Path) -> None:
        corpus = write_tiny_features(write_tiny_corpus(tmp_path / "corpus", 3), {"text": 4})
        with pytest.raises(UserError, match=r"has no acoustic features, but model\.modalities are 'tav'; make them"):
            train(TINY, data=corpus, out=tmp_path / "run")

    def test_sizes_that_do_not_match(self, corpus: Path, tmp_path: Path) -> None:
        model = dataclasses.replace(TINY.model, features=FeatureSettings(text_size=300))
        wanted = r"model\.features\.text_size is 300, but the text features in .* have 8 columns \(tiny\)"
        with pytest.raises(UserError, match=wanted):
            train(dataclasses.replace(TINY, model=model), data=corpus, out=tmp_path / "run")

    def test_a_run_on_features_of_another_size(self, corpus: Path, tmp_path: Path) -> None:
        train(dataclasses.replace(TINY, epochs=1), data=corpus, out=tmp_path / "run")
        other = write_tiny_features(write_tiny_corpus(tmp_path / "corpus", 3), {**SIZES, "visual": 7})
        with pytest.raises(UserError, match=r"visual_size is 5, but the visual features in .* have 7 columns"):
            evaluate(tmp_path / "run", data=other)

    def test_a_feature_set_that_the_features_do_not_have(self, corpus: Path, tmp_path: Path) -> None:
        model = dataclasses.replace(TINY.model, features=FeatureSettings(audio_feature_type=0))
        with pytest.raises(UserError, match=r"audio_feature_type 0 .* at least 763 a step; these have 6"):
            train(dataclasses.replace(TINY, model=model), data=corpus, out=tmp_path / "run")

    def test_no_training_split_to_standardise_with(self, corpus: Path) -> None:
        features = load_features(load_corpus(corpus))
        settings = with_sizes(TINY.model, features)
        text = dataclasses.replace(features.info.text, mean=(), std=())
        features.info = dataclasses.replace(features.info, text=text)
        with pytest.raises(UserError, match="has no mean of the text features"):
            standardise(build_model(settings, num_emotions=3), settings, features)


def test_augmentation_without_effect_is_told(corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = dataclasses.replace(TINY, epochs=1, augment=AugmentSettings(flip=0.5, word_dropout=0.1))
    with caplog.at_level(logging.WARNING):
        train(settings, data=corpus, out=tmp_path / "run")
    assert "augment has no effect: lf_rnn reads hand-crafted features" in caplog.text
