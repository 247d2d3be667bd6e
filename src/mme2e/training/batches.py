"""The batches of a training run: of the training split, epoch by epoch, and of the validation split."""

import logging
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader

from mme2e.config import TrainSettings
from mme2e.data.corpus import Corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.loader import make_dataloader
from mme2e.training.epochs import EpochBatches, process_rank
from mme2e.training.hand_crafted import open_dataset

_log = logging.getLogger(__name__)


def training_batches(
    corpus: Corpus, settings: TrainSettings, tokenizer: Any
) -> Callable[[Callable[[], int]], EpochBatches]:
    """Opens the training split.

    Args:
        corpus: A prepared corpus.
        settings: How to train.
        tokenizer: Of the model's text encoder, if it has one.

    Returns:
        What `EmotionModule` makes its batches with: to be called once training processes know each other.

    Raises:
        UserError: As `open_dataset`.
    """
    dataset = _dataset(corpus, "train", settings, tokenizer)

    def make_batches(epoch: Callable[[], int]) -> EpochBatches:
        loader = make_dataloader(
            dataset,
            batch_size=settings.batch_size,
            shuffle=True,
            seed=settings.seed,
            num_workers=settings.num_workers,
            augment=settings.augment,
            pin_memory=True,
        )
        return EpochBatches(loader, epoch=epoch, seed=settings.seed, rank=process_rank())

    return make_batches


def validation_batches(corpus: Corpus, settings: TrainSettings, tokenizer: Any) -> DataLoader:
    """All of the validation split.

    To be made before training processes know each other: each of them validates on everything and needs no gathering.

    Args:
        corpus: A prepared corpus.
        settings: How to train.
        tokenizer: Of the model's text encoder, if it has one.

    Raises:
        UserError: As `open_dataset`.
    """
    return make_dataloader(
        _dataset(corpus, "valid", settings, tokenizer),
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        pin_memory=True,
    )


def _dataset(corpus: Corpus, split: str, settings: TrainSettings, tokenizer: Any) -> UtteranceDataset:
    modalities = settings.model.modalities
    dataset = open_dataset(corpus, split, settings.model, tokenizer)
    if dataset.left_out and process_rank() == 0:
        total = len(dataset) + len(dataset.left_out)
        _log.warning("%d of %d %s utterances have none of '%s'", len(dataset.left_out), total, split, modalities)
    return dataset
