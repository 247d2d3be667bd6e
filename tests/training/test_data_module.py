import dataclasses
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mme2e.config import AugmentSettings, TrainSettings
from mme2e.data.batch import Batch
from mme2e.data.loader import LengthBatchSampler
from mme2e.data.ragged import Ragged
from mme2e.training.data_module import EpochBatches, finish_batch, seed_all


class Draws(Dataset):
    """Items that show which epoch asked for them."""

    def __init__(self, on_read=lambda: None):
        self.on_read = on_read

    def __getitem__(self, draw):
        self.on_read()
        return torch.tensor(tuple(draw))


def make(epoch, num_workers=0, seed=0, rank=0, dataset=None) -> EpochBatches:
    sampler = LengthBatchSampler(np.ones(10), 2, shuffle=True, seed=3)
    loader = DataLoader(
        dataset or Draws(), batch_sampler=sampler, num_workers=num_workers, persistent_workers=num_workers > 0
    )
    return EpochBatches(loader, epoch=epoch, seed=seed, rank=rank)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_epoch_counts_when_the_first_batch_is_asked_for(num_workers):
    current = 0
    batches = make(lambda: current, num_workers)
    assert len(batches) == 5
    iterator = iter(batches)  # Lightning makes it here, before it resumes at epoch 7
    current = 7
    resumed = torch.cat(list(iterator))
    assert set(resumed[:, 1].tolist()) == {7}
    assert torch.equal(resumed, torch.cat(list(make(lambda: 7))))
    current = 8
    assert not torch.equal(resumed[:, 0], torch.cat(list(batches))[:, 0])


def test_generators_depend_on_seed_epoch_and_process_only():
    def drawn(**keys):
        torch.rand(3)
        next(iter(make(lambda: keys.get("epoch", 0), seed=keys.get("seed", 0), rank=keys.get("rank", 0))))
        return (torch.rand(1).item(), np.random.rand(), random.random())

    usual = drawn()
    assert drawn() == usual
    others = [drawn(epoch=1), drawn(seed=1), drawn(rank=1)]
    assert len({usual, *others}) == 4


def test_only_batches_with_sound_models_make_mel_chunks():
    batch = Batch(waveforms=Ragged.join([torch.zeros(6400, dtype=torch.int16)]))
    settings = TrainSettings()
    assert finish_batch(batch, settings, training=True).mel_chunks is not None
    silent = dataclasses.replace(settings, model=dataclasses.replace(settings.model, modalities="v"))
    assert finish_batch(batch, silent, training=True).mel_chunks is None


def test_chunks_are_masked_in_training_only():
    batch = Batch(waveforms=Ragged.join([torch.randint(-9999, 9999, (64000,), dtype=torch.int16)]))
    settings = TrainSettings(augment=AugmentSettings(time_masks=2))
    plain = batch.with_mel_chunks().mel_chunks.values
    assert torch.equal(finish_batch(batch, settings, training=False).mel_chunks.values, plain)
    torch.manual_seed(0)
    assert (finish_batch(batch, settings, training=True).mel_chunks.values == 0).sum() > (plain == 0).sum()


def test_waiting_is_measured(monkeypatch):
    now_s = 100.0

    def spend(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr("mme2e.training.data_module.time", SimpleNamespace(perf_counter=lambda: now_s))
    batches = make(lambda: 0, dataset=Draws(on_read=lambda: spend(1.5)))
    for _ in range(2):  # each epoch is measured on its own
        for _ in batches:
            spend(7)
        assert batches.wait_s == 10 * 1.5
        assert batches.data_wait_share() == 15 / (15 + 5 * 7)


def test_seed_all_tells_apart_what_a_sum_would_not():
    seed_all(1, 2)
    first = torch.rand(1)
    seed_all(2, 1)
    assert torch.rand(1) != first
