"""One modality of the baselines: hand-crafted features, standardised, gathered into one vector and classified."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mme2e.config import RnnSettings
from mme2e.data.ragged import Ragged


class Standardise(nn.Module):
    """Chooses columns and brings each to mean 0 and standard deviation 1.

    Mean and deviation belong to the weights. They start at 0 and 1, which leaves the features as they are, as the
    reference does; training sets them to those of the training split.

    Args:
        size: Columns that come in.
        columns: Those that are kept, in order; all when None.

    Raises:
        ValueError: A column is not among those that come in.
    """

    mean: Tensor
    std: Tensor
    columns: Tensor | None

    def __init__(self, size: int, columns: tuple[int, ...] | None = None) -> None:
        super().__init__()
        if columns is not None and max(columns) >= size:
            raise ValueError(f"column {max(columns)} is not among {size}")
        self.size = size
        kept = None if columns is None else torch.tensor(columns)
        self.register_buffer("columns", kept, persistent=False)
        self.register_buffer("mean", torch.zeros(self.out_size))
        self.register_buffer("std", torch.ones(self.out_size))

    @property
    def out_size(self) -> int:
        """Columns that go out."""
        return self.size if self.columns is None else len(self.columns)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Takes over mean and deviation.

        Args:
            mean: (size,) of every column that comes in.
            std: (size,), positive.

        Raises:
            ValueError: They are of another size.
        """
        for name, given in (("mean", mean), ("std", std)):
            if given.shape != (self.size,):
                raise ValueError(f"{name} has shape {tuple(given.shape)} for {self.size} columns")
            getattr(self, name).copy_(self._chosen(given))

    def forward(self, features: Tensor) -> Tensor:
        """(total, size) to (total, out_size), in the dtype of the statistics.

        Raises:
            ValueError: The features have another number of columns.
        """
        if features.ndim != 2 or features.shape[1] != self.size:
            raise ValueError(f"expected features of {self.size} columns, not of shape {tuple(features.shape)}")
        return (self._chosen(features).to(self.mean.dtype) - self.mean) / self.std

    def _chosen(self, values: Tensor) -> Tensor:
        return values if self.columns is None else values.index_select(-1, self.columns)


class RnnEncoder(nn.Module):
    """The final states of an LSTM or GRU (reference section 1).

    Args:
        size: Width of the steps.
        settings: Kind, directions, layers, width.
        takes_last_step: Takes the output at the last step instead, whose backward direction has read that step only:
            what the reference does with text.

    Attributes:
        out_dim: Width of the result.
    """

    def __init__(self, size: int, settings: RnnSettings, *, takes_last_step: bool = False) -> None:
        super().__init__()
        self.directions = 2 if settings.bidirectional else 1
        hidden = settings.hidden_size or size
        self.rnn = (nn.GRU if settings.gru else nn.LSTM)(
            size,
            hidden,
            settings.num_layers,
            batch_first=True,
            bidirectional=settings.bidirectional,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
        )
        self.takes_last_step = takes_last_step
        self.out_dim = self.directions * hidden

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Gathers each sequence.

        Args:
            vectors: (total, size), the sequences one after the other.
            lengths: (batch,) int64; an empty sequence is read as one step of zeros.

        Returns:
            (batch, out_dim).
        """
        padded, _ = Ragged(vectors, lengths).padded(at_least=1)
        # Torch expects the lengths on the CPU.
        packed = pack_padded_sequence(padded, lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False)
        output, state = self.rnn(packed)
        if self.takes_last_step:
            steps, _ = pad_packed_sequence(output, batch_first=True)
            return steps[torch.arange(len(lengths), device=lengths.device), lengths.clamp_min(1) - 1]
        hidden = state[0] if isinstance(state, tuple) else state
        return hidden[-self.directions :].transpose(0, 1).flatten(1)


class FeatureBranch(nn.Module):
    """Standardisation, a sequence encoder, and Linear d -> d // 2 -> ReLU -> Linear.

    Args:
        standardise: What comes first.
        encoder: Takes (total, size) and lengths (batch,), returns (batch, dim).
        dim: Width of the encoder's result.
        out_dim: Logits, or features for early fusion.
        reads_padding: Whether the encoder reads the zeros that make all sequences as long as the longest of the
            batch, as the reference's do.
    """

    def __init__(
        self, standardise: Standardise, encoder: nn.Module, dim: int, out_dim: int, *, reads_padding: bool
    ) -> None:
        super().__init__()
        self.standardise = standardise
        self.encoder = encoder
        middle = max(1, dim // 2)
        self.head = nn.Sequential(nn.Linear(dim, middle), nn.ReLU(), nn.Linear(middle, out_dim))
        self.reads_padding = reads_padding

    def forward(self, features: Ragged) -> Tensor:
        """Logits or features of each utterance.

        Args:
            features: (total, size).

        Returns:
            (batch, out_dim).

        Raises:
            ValueError: The steps have another size.
        """
        vectors, lengths = self.standardise(features.values), features.lengths
        if self.reads_padding:
            padded, _ = Ragged(vectors, lengths).padded(at_least=1)
            vectors, lengths = padded.flatten(0, 1), torch.full_like(lengths, padded.shape[1])
        return self.head(self.encoder(vectors, lengths))
