"""`Ragged`: one modality of many utterances, side by side without padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

BY_VALUE_BYTES = 1 << 20
"""Largest tensor that is copied between processes; larger ones lie in shared memory."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences of different lengths, one after the other.

    The steps of utterance i are the `lengths[i]` rows of `values` after those of the utterances before it.

    Attributes:
        values: (total, ...), steps of any kind: tokens, face crops, samples, mel chunks, rows of features.
        lengths: (batch,) int64, steps of each utterance.
        present: (batch,) bool; where it is false the utterance counts as one without the modality, whatever its
            length. Where there are steps, when not given.

    Raises:
        ValueError: The lengths do not add up to the number of values, or `present` is of another length. It is looked
            at on the CPU only, where batches are made: elsewhere the device would have to be waited for.
    """

    values: Tensor
    lengths: Tensor
    present: Tensor = None  # type: ignore[assignment]  # made in __post_init__

    def __post_init__(self) -> None:
        if self.lengths.device.type == "cpu" and int(self.lengths.sum()) != len(self.values):
            total = int(self.lengths.sum())
            raise ValueError(f"the lengths add up to {total} but there are {len(self.values)} steps")
        if self.present is None:
            object.__setattr__(self, "present", self.lengths > 0)
        elif self.present.shape != self.lengths.shape:
            raise ValueError(f"present has shape {tuple(self.present.shape)} for {len(self.lengths)} utterances")

    @classmethod
    def join(cls, sequences: Sequence[Tensor]) -> "Ragged":
        """Puts the sequences (steps, ...) of one or more utterances one after the other; empty ones are not present."""
        return cls(torch.cat(list(sequences)), torch.tensor([len(sequence) for sequence in sequences]))

    @classmethod
    def from_padded(cls, padded: Tensor, mask: Tensor | None = None) -> "Ragged":
        """The inverse of `padded`.

        Args:
            padded: (batch, longest, ...).
            mask: (batch, longest), true or 1 where there is a step; everywhere when None.
        """
        real = torch.ones(padded.shape[:2], dtype=torch.bool, device=padded.device) if mask is None else mask.bool()
        return cls(padded[real], real.sum(dim=1))

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.lengths)

    def __getstate__(self) -> dict[str, Any]:
        return by_value(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(from_value(state))

    def split(self) -> tuple[Tensor, ...]:
        """The sequence (steps, ...) of each utterance."""
        return self.values.split(self.lengths.tolist())

    def select(self, utterances: Sequence[int]) -> "Ragged":
        """Those of some utterances, in the order asked for; at least one."""
        sequences, chosen = self.split(), torch.tensor(utterances, device=self.lengths.device)
        return Ragged(torch.cat([sequences[index] for index in utterances]), self.lengths[chosen], self.present[chosen])

    def hidden(self, utterances: Tensor) -> "Ragged":
        """The same steps, with the modality not present in the utterances where (batch,) bool is true."""
        return Ragged(self.values, self.lengths, self.present & ~utterances)

    def padded(self, fill: float = 0, *, at_least: int = 0) -> tuple[Tensor, Tensor]:
        """Sequences side by side.

        Args:
            fill: Stands behind the shorter sequences.
            at_least: Steps of the result, where all sequences are shorter.

        Returns:
            (batch, longest, ...) and a mask (batch, longest) bool, true where there is a step.
        """
        longest = max(at_least, int(self.lengths.max()) if len(self) else 0)
        real = torch.arange(longest, device=self.lengths.device) < self.lengths.unsqueeze(1)
        padded = self.values.new_full((*real.shape, *self.values.shape[1:]), fill)
        padded[real] = self.values
        return padded, real

    def map(self, function: Callable[[Tensor], Tensor]) -> "Ragged":
        """The same with its three tensors changed, for instance moved."""
        return Ragged(function(self.values), function(self.lengths), function(self.present))

    def to(self, device: torch.device | str) -> "Ragged":
        """The same on another device; for the copy of page-locked memory nothing waits."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=tensor.is_pinned()))

    def pin_memory(self) -> "Ragged":
        """The same in page-locked memory, for a fast copy to a GPU."""
        return self.map(lambda tensor: tensor.pin_memory())


def by_value(state: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an object with small tensors as arrays, which are pickled whole.

    From a data loader's worker torch passes each tensor on as a file, over a connection of its own: half a millisecond
    for any size, and more when all cores are busy.
    """
    return {name: value.numpy() if _is_small(value) else value for name, value in state.items()}


def from_value(state: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `by_value`."""
    return {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in state.items()}


def _is_small(value: Any) -> bool:
    small = isinstance(value, Tensor) and value.nbytes <= BY_VALUE_BYTES
    return small and value.device.type == "cpu" and value.dtype != torch.bfloat16  # which NumPy does not know
