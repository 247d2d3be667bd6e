"""Epochs that are a function of (seed, epoch, process) and of nothing that happened before them.

That is what makes resuming exact: no state of any random generator has to be stored or restored.
"""

import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.utils.data import DataLoader

from mme2e.data.batch import Batch


def seed_all(*keys: int) -> None:
    """Seeds torch (all devices), NumPy and Python from any non-negative numbers; other numbers, other streams."""
    seed = int(np.random.SeedSequence(keys).generate_state(1)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def process_rank() -> int:
    """Number of this process among those that train together, also before they know each other."""
    return getattr(rank_zero_only, "rank", 0)


class EpochBatches:
    """A training data loader that begins each epoch by itself.

    Lightning makes the iterator of the first epoch, and of the first one after resuming, before it tells the sampler
    the number of the epoch, and workers read ahead at once: order and augmentation would be those of another epoch.
    Here the epoch is asked for when the first batch is.

    Args:
        loader: Whose batch sampler has `set_epoch`.
        epoch: Tells the number of the epoch, from 0.
        seed: Of dropout and whatever else draws during the epoch.
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
