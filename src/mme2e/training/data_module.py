"""The batches of a training run: of the training split, epoch by epoch, and of the validation split."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.utils.data import DataLoader

from mme2e.config import TrainSettings
from mme2e.data.augment import augment_mel, hide_modalities
from mme2e.data.batch import Batch
from mme2e.data.corpus import Corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.hand_crafted import open_dataset
from mme2e.data.loader import make_dataloader

_log = logging.getLogger(__name__)


class EmotionData(LightningDataModule):
    """The training and the validation split of a corpus, both opened at once.

    Args:
        corpus: A prepared corpus.
        settings: How to train.
        tokenizer: Of the model's text encoder, if it has one.

    Raises:
        UserError: As `open_dataset`.
    """

    def __init__(self, corpus: Corpus, settings: TrainSettings, tokenizer: Any) -> None:
        super().__init__()
        self._settings = settings
        self._train, self._valid = (_open(corpus, split, settings, tokenizer) for split in ("train", "valid"))

    def train_dataloader(self) -> "EpochBatches":
        """The share of this process in the training batches."""
        trainer, settings = self.trainer, self._settings
        assert trainer is not None
        loader = make_dataloader(
            self._train,
            batch_size=settings.batch_size,
            shuffle=True,
            seed=settings.seed,
            num_workers=settings.num_workers,
            augment=settings.augment,
            pin_memory=True,
            num_replicas=trainer.world_size,
            rank=trainer.global_rank,
        )
        return EpochBatches(loader, epoch=lambda: trainer.current_epoch, seed=settings.seed, rank=trainer.global_rank)

    def val_dataloader(self) -> DataLoader:
        """All of the validation split: every process validates on everything, and nothing has to be gathered."""
        settings = self._settings
        return make_dataloader(
            self._valid, batch_size=settings.batch_size, num_workers=settings.num_workers, pin_memory=True
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Finishes a batch on the device, in full precision: see `finish_batch`."""
        assert self.trainer is not None
        return finish_batch(batch, self._settings, training=self.trainer.training)


def finish_batch(batch: Batch, settings: TrainSettings, *, training: bool) -> Batch:
    """Makes the mel chunks of a model that reads audio; in training masks them and hides modalities.

    Args:
        batch: Utterances on the model's device.
        settings: How to train.
        training: Whether the batch is one of training: only then random numbers are drawn, from torch's generator for
            the CPU, which `EpochBatches` has seeded.
    """
    if "a" in settings.model.modalities:
        batch = batch.with_mel_chunks()
    if not training:
        return batch
    batch = augment_mel(batch, settings.augment, torch.default_generator)
    always = settings.model.required_modalities
    return hide_modalities(
        batch,
        settings.modality_dropout,
        torch.default_generator,
        modalities=settings.model.modalities,
        always=always,
    )


class EpochBatches:
    """A training data loader whose epochs are a function of (seed, epoch, process) and of nothing before them.

    That is what makes resuming exact: no state of any random generator has to be stored or restored. At its first batch
    an epoch seeds the global generators, which `finish_batch` and the model's dropout draw from, and the loader.

    Lightning makes the iterator of the first epoch, and of the first one after resuming, before it gives the sampler
    the number of the epoch, and workers read ahead at once: they would read another epoch. Here the number is asked
    for when the first batch is.

    Args:
        loader: Whose batch sampler has `set_epoch`.
        epoch: Returns the number of the epoch, from 0.
        seed: Of the run.
        rank: Of this process among those that train together.

    Attributes:
        wait_s: Seconds that the current epoch has waited for data.
    """

    def __init__(self, loader: DataLoader, *, epoch: Callable[[], int], seed: int, rank: int) -> None:
        self.loader = loader
        self.epoch = epoch
        self.seed = seed
        self.rank = rank
        self.wait_s = 0.0
        self._began = 0.0

    def data_wait_share(self) -> float:
        """Share of the current epoch, up to now, that was spent waiting for data, in [0, 1]."""
        return self.wait_s / max(time.perf_counter() - self._began, 1e-9)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: nothing below runs before the first batch is asked for.
        epoch = self.epoch()
        seed_all(self.seed, epoch, self.rank)
        self.loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]  # LengthBatchSampler has it
        self.wait_s = 0.0
        self._began = asked = time.perf_counter()
        for batch in self.loader:
            self.wait_s += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()


def seed_all(*keys: int) -> None:
    """Seeds torch (all devices), NumPy and Python from any non-negative numbers; other numbers, other streams."""
    seed = int(np.random.SeedSequence(keys).generate_state(1)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def process_rank() -> int:
    """Number of this process among those that train together, also before they know each other."""
    return getattr(rank_zero_only, "rank", 0)


def _open(corpus: Corpus, split: str, settings: TrainSettings, tokenizer: Any) -> UtteranceDataset:
    dataset = open_dataset(corpus, split, settings.model, tokenizer, votes=settings.targets == "votes")
    if dataset.left_out and process_rank() == 0:
        total = len(dataset) + len(dataset.left_out)
        _log.warning("%d of %d %s utterances have %s", len(dataset.left_out), total, split, dataset.lacking)
    return dataset
