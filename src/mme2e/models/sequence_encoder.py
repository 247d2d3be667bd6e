"""One vector for a sequence of frames or chunks of any length."""

import torch
from torch import Tensor, nn


class SequenceEncoder(nn.Module):
    """A Transformer encoder whose learned CLS vector, put before each sequence, gathers the sequence.

    There is no positional encoding, as in the reference (section 1): the order of the frames does not matter.

    Args:
        dim: Width of the vectors.
        num_layers: Encoder layers.
        num_heads: Attention heads.
        feedforward_dim: Width of the feed-forward layers.
        dropout: Dropout within the layers.
    """

    def __init__(self, dim: int, *, num_layers: int, num_heads: int, feedforward_dim: int, dropout: float) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.randn(1, dim))
        layer = nn.TransformerEncoderLayer(dim, num_heads, feedforward_dim, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Gathers each sequence into one vector.

        Args:
            vectors: (total, dim), the sequences one after the other.
            lengths: (batch,) int64, vectors of each sequence, at least one sequence; 0 leaves the CLS vector alone.

        Returns:
            (batch, dim).

        Raises:
            ValueError: The lengths do not add up to the number of vectors.
        """
        longest, total = int(lengths.max()), int(lengths.sum())
        if total != len(vectors):
            raise ValueError(f"the lengths add up to {total} but there are {len(vectors)} vectors")
        positions = torch.arange(longest + 1, device=vectors.device)
        real = (positions > 0) & (positions <= lengths.unsqueeze(1))  # (batch, 1 + longest), without CLS
        padded = vectors.new_zeros(*real.shape, vectors.shape[1])
        padded[real] = vectors
        padded = torch.where((positions == 0).view(1, -1, 1), self.cls.to(vectors.dtype), padded)
        padding = positions > lengths.unsqueeze(1)
        return self.encoder(padded, src_key_padding_mask=padding)[:, 0]
