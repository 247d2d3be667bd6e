"""The data loader: worker processes that read, decode and collate beside the model."""

import os
import signal
from typing import Any

import torch
from torch.utils.data import DataLoader

from mme2e.config import AugmentSettings
from mme2e.data.batch import collate
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.sampler import LengthBatchSampler

PREFETCH_BATCHES = 4
"""Batches that each worker reads ahead."""


def make_dataloader(
    dataset: UtteranceDataset,
    *,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    augment: AugmentSettings | None = None,
    pin_memory: bool = False,
    num_replicas: int = 1,
    rank: int = 0,
) -> DataLoader:
    """A loader of `Batch`es with waveforms; `Batch.with_mel_chunks` makes the mel chunks on the model's device.

    Order and augmentation follow from the seed and the epoch alone, whatever the number of workers: before each
    pass call `loader.batch_sampler.set_epoch(epoch)`.

    Args:
        dataset: The utterances.
        batch_size: Utterances a batch.
        shuffle: Whether to mix them (see `LengthBatchSampler`).
        seed: Of order and augmentation.
        num_workers: Processes that read ahead; 0 reads in this one.
        augment: Augmentation of crops and words; that of the mel chunks is `augment_mel`.
        pin_memory: Page-locked memory for a fast copy; without CUDA it is left off.
        num_replicas: Processes that share the batches.
        rank: Which of them this is.
    """
    dataset = dataset.augmented(augment, seed)
    sampler = LengthBatchSampler(
        dataset.costs,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        num_replicas=num_replicas,
        rank=rank,
    )
    if num_workers > 0:
        # Workers tokenise one text at a time; without this, tokenizers prints a warning in each of them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return _Loader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        prefetch_factor=PREFETCH_BATCHES if num_workers > 0 else None,
        worker_init_fn=leave_interrupts_to_the_parent,
        pin_memory=pin_memory and torch.cuda.is_available(),
        # Its own generator: drawing the workers' seeds must not move the global one that dropout uses.
        generator=torch.Generator().manual_seed(seed),
    )


class _Loader(DataLoader):
    """A data loader that no Ctrl-C is lost in: Python drops exceptions that are raised while it forks a worker."""

    def __iter__(self) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_interrupts_to_the_parent(worker: int) -> None:
    """Makes a worker process ignore SIGINT.

    Ctrl-C reaches every process of the terminal. A worker that dies of it looks like a crash to the process that is
    just being interrupted in good order; that one ends its workers by itself.

    Args:
        worker: Number of the worker; of no matter.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
