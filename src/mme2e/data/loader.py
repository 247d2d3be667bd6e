"""The data loader: in which order utterances come, and the worker processes that read, decode and collate them."""

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from mme2e import interrupts
from mme2e.config import AugmentSettings
from mme2e.data.batch import collate
from mme2e.data.dataset import Draw, UtteranceDataset

PREFETCH_BATCHES = 4
"""Batches that each worker reads ahead."""
POOL_BATCHES = 16
"""Shuffled utterances are sorted by length within pools of this many batches: enough for batches of nearly equal
length, few enough to keep their composition changing from epoch to epoch."""


class LengthBatchSampler(Sampler[list[Draw]]):
    """Yields batches of `Draw`s; every utterance exactly once an epoch, only the last batch may be smaller.

    With `shuffle`, utterances are shuffled, sorted by cost within pools, cut into batches, and the batches are
    shuffled; all of it follows from (seed, epoch). Without, they come in their own order.

    With several replicas each gets every n-th batch; the first batches come again where that does not divide.

    Args:
        costs: (utterances,) how long or expensive each is, in any unit.
        batch_size: Utterances a batch.
        shuffle: See above.
        seed: See above.
        num_replicas: Processes that share an epoch.
        rank: Which of them this is.
    """

    def __init__(
        self,
        costs: Sequence[float] | np.ndarray,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.costs = np.asarray(costs, dtype=np.float64)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The next pass is that of `epoch`: other order, other augmentation."""
        self.epoch = epoch

    def __len__(self) -> int:
        batches = -(-len(self.costs) // self.batch_size)
        return -(-batches // self.num_replicas)

    def __iter__(self) -> Iterator[list[Draw]]:
        batches = self._batches()
        for position in range(self.rank, len(self) * self.num_replicas, self.num_replicas):
            yield [Draw(int(index), self.epoch) for index in batches[position % len(batches)]]

    def _batches(self) -> list[np.ndarray]:
        order = np.arange(len(self.costs))
        if not self.shuffle:
            return self._cut(order)
        rng = np.random.default_rng([self.seed, self.epoch])
        rng.shuffle(order)
        pool = self.batch_size * POOL_BATCHES
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        order = np.concatenate([p[np.argsort(self.costs[p], kind="stable")] for p in pools])
        batches = self._cut(order)
        return [batches[index] for index in rng.permutation(len(batches))]

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]


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
        augment: Augmentation of crops, waveforms and text; that of the mel chunks is `augment_mel`.
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
        with interrupts.blocked():
            return super().__iter__()


def leave_interrupts_to_the_parent(worker: int) -> None:
    """Makes a worker process ignore SIGINT.

    Ctrl-C reaches every process of the terminal. A worker that dies of it looks like a crash to the process that is
    just being interrupted in good order; that one ends its workers by itself.

    Args:
        worker: Number of the worker; of no matter.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
