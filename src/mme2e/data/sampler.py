"""Batches of utterances of similar length, in an order that seed and epoch decide."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from mme2e.data.dataset import Draw

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
