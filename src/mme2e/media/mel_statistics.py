"""Mean and deviation of each mel band, over an utterance or over all that is heard of a speaker.

They are kept as sums, so that those of a recording are the sum of those of its utterances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mme2e.media.mel import NUM_MELS, mel_chunks

LEAST_POWER = 1e-7
"""Quieter than this, in the power of `mel_chunks`, sounds like silence: the noise of 16-bit samples."""

LEAST_DEVIATION = 1e-3
"""Of a band, in natural logarithms of power; of a single column it would be 0, of which no logarithm can be taken."""


def log_power(power: Tensor) -> Tensor:
    """The natural logarithm of mel power, at least that of `LEAST_POWER`; any shape, float32."""
    return power.clamp_min(LEAST_POWER).log()


@dataclass(frozen=True, eq=False)
class BandStatistics:
    """Sums over the columns that have any power.

    Attributes:
        columns: (utterances,) float32, how many there are.
        sums: (utterances, 128) float32, of the logarithms.
        squares: (utterances, 128) float32, of their squares.
    """

    columns: Tensor
    sums: Tensor
    squares: Tensor

    def grouped(self, group: Tensor, groups: int) -> "BandStatistics":
        """The statistics of groups of utterances.

        Args:
            group: (utterances,) int64, each one's group.
            groups: How many there are.
        """

        def add(values: Tensor) -> Tensor:
            return values.new_zeros(groups, *values.shape[1:]).index_add_(0, group, values)

        return BandStatistics(add(self.columns), add(self.sums), add(self.squares))

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """(utterances, 128) each, in natural logarithms of power; 0 and 1 where nothing was heard."""
        count = self.columns.clamp_min(1).unsqueeze(1)
        mean = self.sums / count
        deviation = (self.squares / count - mean.square()).clamp_min(LEAST_DEVIATION**2).sqrt()
        return mean, torch.where(self.columns.unsqueeze(1) > 0, deviation, 1.0)

    def context_of(self, whole: "BandStatistics") -> Tensor:
        """How the statistics of a recording differ from those of its utterances.

        Augmentation may change an utterance after this is known: what is added to the mean by a gain, for instance, is
        added to both.

        Args:
            whole: Of the recording of each utterance, (utterances,) of them.

        Returns:
            (utterances, 2, 128): the difference of the means, and the logarithm of the ratio of the deviations.
        """
        (mean, deviation), (whole_mean, whole_deviation) = self.mean_and_deviation(), whole.mean_and_deviation()
        return torch.stack([whole_mean - mean, (whole_deviation / deviation).log()], dim=1)

    @classmethod
    def unpacked(cls, packed: Sequence[Sequence[float] | None]) -> "BandStatistics":
        """Of what `statistics_of` gave for each utterance; None: nothing was heard."""
        nothing = [0.0] * (1 + 2 * NUM_MELS)
        values = torch.tensor([nothing if each is None else each for each in packed], dtype=torch.float32)
        values = values.view(len(packed), 1 + 2 * NUM_MELS)
        return cls(values[:, 0], values[:, 1 : 1 + NUM_MELS], values[:, 1 + NUM_MELS :])

    def __getitem__(self, utterances: Tensor) -> "BandStatistics":
        return BandStatistics(self.columns[utterances], self.sums[utterances], self.squares[utterances])


@torch.no_grad()
def band_statistics(power: Tensor, num_chunks: Tensor) -> BandStatistics:
    """Statistics of each utterance of a batch.

    Args:
        power: (total_chunks, 128, columns) float32, see `mel_chunks`.
        num_chunks: (utterances,) int64.
    """
    utterances = torch.repeat_interleave(num_chunks, output_size=len(power))
    heard = (power.amax(dim=1) > 0).float()  # (chunks, columns)
    levels = log_power(power) * heard.unsqueeze(1)
    each = BandStatistics(heard.sum(dim=1), levels.sum(dim=2), levels.square().sum(dim=2))
    return each.grouped(utterances, len(num_chunks))


def statistics_of(samples: np.ndarray) -> list[float]:
    """The statistics of one utterance as 257 numbers: columns, 128 sums, 128 sums of squares.

    Args:
        samples: (samples,) int16, 16 kHz.
    """
    chunks, number = mel_chunks(torch.from_numpy(samples), torch.tensor([len(samples)]))
    each = band_statistics(chunks[:, 0], number)
    return torch.cat([each.columns, each.sums[0], each.squares[0]]).tolist()
