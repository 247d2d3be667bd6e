"""Settings refuse contradictions, naming the option and the values."""

import dataclasses

import pytest

from mme2e.config import (
    AttentionSettings,
    AudioAugmentSettings,
    AugmentSettings,
    FaceAugmentSettings,
    FaceSettings,
    FeatureSettings,
    ModelSettings,
    PrepareSettings,
    RnnSettings,
    SampleSettings,
    SplitSettings,
    TextAugmentSettings,
    TextSettings,
    TrainSettings,
)
from mme2e.errors import UserError


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (FaceSettings, {"margin": 48}, "face.margin .* not 48"),
        (SampleSettings, {"utterances": 0}, "not 0"),
        (SplitSettings, {"fold": 6}, "fold .* not 6"),
        (PrepareSettings, {"split": SplitSettings(protocol="lists")}, "requires --splits"),
        (PrepareSettings, {"split": SplitSettings(protocol="session"), "splits": "x"}, "lists or auto, not session"),
        (PrepareSettings, {"jobs": 0}, "jobs .* not 0"),
        (PrepareSettings, {"frame_interval_ms": 0}, "frame_interval_ms .* not 0"),
        (TextSettings, {"max_length": 2}, "max_length .* not 2"),
        (TextSettings, {"hidden_dim": 10, "num_heads": 4}, "hidden_dim 10 .*num_heads 4"),
        (ModelSettings, {"modalities": ""}, "modalities"),
        (ModelSettings, {"modalities": "tax"}, "not 'tax'"),
        (ModelSettings, {"trans_dim": 10, "num_heads": 4}, "trans_dim 10 .*num_heads 4"),
        (ModelSettings, {"dropout": 1.0}, "dropout .* not 1.0"),
        (ModelSettings, {"tower_channels": (1, 1, 1, 0)}, "tower_channels"),
        (ModelSettings, {"feature_dim": 0}, "model.feature_dim .* not 0"),
        (
            ModelSettings,
            {"features": FeatureSettings(text_size=300)},
            "for lf_rnn .* model.name fe2e reads raw signals",
        ),
        (ModelSettings, {"name": "mesm", "features": FeatureSettings(masked=False)}, "model.name mesm reads raw"),
        (FeatureSettings, {"visual_size": 0}, "model.features.visual_size must be at least 1, not 0"),
        (FeatureSettings, {"audio_feature_type": 7}, "model.features.audio_feature_type must be 0 to 6, not 7"),
        (RnnSettings, {"hidden_size": 0}, "model.rnn.hidden_size must be at least 1, not 0"),
        (RnnSettings, {"dropout": 1.0}, "model.rnn.dropout .* not 1.0"),
        (AttentionSettings, {"other_words": 1.5}, "model.attention.other_words must be in .* not 1.5"),
        (FaceAugmentSettings, {"blur": 1.5}, r"augment.faces.blur must be in \[0, 1\], not 1.5"),
        (FaceAugmentSettings, {"rotation_deg": -1.0}, r"augment.faces.rotation_deg .*\[0, 180\], not -1.0"),
        (FaceAugmentSettings, {"scale": 0.6}, r"augment.faces.scale .*\[0, 0.5\], not 0.6"),
        (FaceAugmentSettings, {"gamma": -0.1}, "augment.faces.gamma .*not -0.1"),
        (AudioAugmentSettings, {"noise": float("nan")}, "augment.audio.noise .*not nan"),
        (AudioAugmentSettings, {"speed": 0.7}, r"augment.audio.speed .*\[0, 0.5\], not 0.7"),
        (AudioAugmentSettings, {"gain_db": -3.0}, "augment.audio.gain_db .*not -3.0"),
        (TextAugmentSettings, {"word_deletion": 2.0}, "augment.text.word_deletion .*not 2.0"),
        (AugmentSettings, {"flip": 1.5}, "flip .* not 1.5"),
        (AugmentSettings, {"crop_jitter_px": -1}, "crop_jitter_px .* not -1"),
        (TrainSettings, {"epochs": 0}, "epochs .* not 0"),
        (TrainSettings, {"learning_rate": 0.0}, "learning_rate .* not 0.0"),
        (TrainSettings, {"modality_dropout": 1.0}, "modality_dropout must be in .* not 1.0"),
        (TrainSettings, {"modality_loss": -1.0}, "modality_loss must not be negative, not -1.0"),
        (
            TrainSettings,
            {"modality_loss": 1.0, "model": ModelSettings(fusion="early")},
            "modality_loss 1.0 requires --model.fusion late",
        ),
        (TrainSettings, {"gradient_clip": -1.0}, "gradient_clip .* not -1.0"),
        (TrainSettings, {"seed": -1}, "seed must not be negative, not -1"),
        (TrainSettings, {"momentum": 0.9}, "momentum 0.9 requires --optimizer sgd"),
        (TrainSettings, {"momentum": 1.0, "optimizer": "sgd"}, "momentum must be in .* not 1.0"),
        (TrainSettings, {"warmup_epochs": 1.0}, "warmup_epochs 1.0 requires --scheduler cosine"),
        (TrainSettings, {"scheduler": "cosine", "warmup_epochs": 9.0, "epochs": 8}, "9.0 is more than epochs 8"),
    ],
)
def test_contradictions_are_refused(kind: type, values: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        kind(**values)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainSettings().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "modalities", "hand_crafted", "reads_tokens"),
    [
        ("fe2e", "tav", False, True),
        ("fe2e", "av", False, False),
        ("mesm", "ta", False, True),
        ("lf_rnn", "tav", True, False),
        ("lf_transformer", "v", True, False),
    ],
)
def test_what_a_model_reads(name: str, modalities: str, hand_crafted: bool, reads_tokens: bool) -> None:
    settings = ModelSettings(name=name, modalities=modalities)
    assert (settings.hand_crafted, settings.reads_tokens) == (hand_crafted, reads_tokens)
