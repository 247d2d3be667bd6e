"""Hiding modalities in training."""

import pytest
import torch
from tiny_mesm import make_tiny, make_utterances

from mme2e.config import ModelSettings, TrainSettings
from mme2e.data.augment import hide_modalities
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.training.data_module import finish_batch

NAMES = ("text_features", "acoustic_features", "visual_features")


def make_batch(*present: tuple[bool, bool, bool]) -> Batch:
    given = {
        name: Ragged(torch.zeros(len(present), 1), torch.ones_like(flags, dtype=torch.int64), flags)
        for name, flags in zip(NAMES, torch.tensor(present).unbind(dim=1), strict=True)
    }
    return Batch(labels=torch.zeros(len(present), 2), **given)


def presence(batch: Batch) -> torch.Tensor:
    return torch.stack([batch.present(letter) for letter in "tav"], dim=1)


def hide(
    batch: Batch, probability: float = 0.5, seed: int = 0, modalities: str = "tav", always: str = ""
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return presence(hide_modalities(batch, probability, generator, modalities=modalities, always=always))


def test_each_is_hidden_with_the_probability_and_one_is_left() -> None:
    found = hide(make_batch(*[(True, True, True)] * 4000), 0.4)
    assert found.any(dim=1).all()
    # All three would be hidden in 0.4 ** 3 of the utterances, and one of them is left there.
    wanted = 0.6 + 0.4**3 / 3
    torch.testing.assert_close(found.float().mean(dim=0), torch.full((3,), wanted), atol=0.03, rtol=0)


def test_the_last_one_is_any_of_them() -> None:
    found = hide(make_batch(*[(True, True, True)] * 3000), 0.999)
    alone = found[found.sum(dim=1) == 1].float()
    assert len(alone) > 2900
    torch.testing.assert_close(alone.mean(dim=0), torch.full((3,), 1 / 3), atol=0.04, rtol=0)


def test_what_is_missing_stays_missing() -> None:
    given = [(True, False, False), (False, True, True), (False, False, False), (False, False, True)] * 200
    found = hide(make_batch(*given), 0.9)
    assert not (found & ~torch.tensor(given)).any()
    assert torch.equal(found.any(dim=1), torch.tensor(given).any(dim=1))


def test_some_are_never_hidden() -> None:
    found = hide(make_batch(*[(True, True, True)] * 500), 0.9, always="t")
    assert found[:, 0].all()
    assert (~found[:, 1:].any(dim=1)).any()  # with the words left, all else may go
    given = [(False, True, True)] * 500
    assert hide(make_batch(*given), 0.9, always="t").any(dim=1).all()


def test_only_modalities_that_the_model_uses() -> None:
    found = hide(make_batch(*[(True, True, True)] * 500), 0.9, modalities="av")
    assert found[:, 0].all()
    assert found[:, 1:].any(dim=1).all()


def test_the_seed_decides() -> None:
    batch = make_batch(*[(True, True, True)] * 50)
    assert torch.equal(hide(batch, seed=3), hide(batch, seed=3))
    assert not torch.equal(hide(batch, seed=3), hide(batch, seed=4))


def test_nothing_to_do() -> None:
    batch = make_batch((True, True, True))
    generator = torch.Generator()
    before = generator.get_state()
    assert hide_modalities(batch, 0.0, generator, modalities="tav") is batch
    assert hide_modalities(batch, 0.5, generator, modalities="t", always="t") is batch
    assert torch.equal(generator.get_state(), before)


def test_one_modality_is_never_hidden() -> None:
    assert hide(make_batch(*[(True, True, True)] * 100), 0.9, modalities="a")[:, 1].all()


@pytest.mark.parametrize("name", ["fe2e", "mesm"])
def test_in_training_only(name: str) -> None:
    settings = TrainSettings(model=ModelSettings(name=name), modality_dropout=0.9)
    batch = make_utterances((1,) * 12, (1,) * 12)
    assert presence(finish_batch(batch, settings, training=False)).all()
    torch.manual_seed(0)
    hidden = presence(finish_batch(batch, settings, training=True))
    assert not hidden.all()
    assert hidden.any(dim=1).all()
    assert hidden[:, 0].all() == (name == "mesm")
    loss = make_tiny(name).train()(batch.hidden("t", ~hidden[:, 0]).hidden("v", ~hidden[:, 2])).sum()
    assert loss.isfinite()


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_probabilities_out_of_range(probability: float) -> None:
    with pytest.raises(UserError, match=rf"modality_dropout must be in \[0, 1\), not {probability}"):
        TrainSettings(modality_dropout=probability)
