"""The tower of the sparse model: a dense low level, then stages that compute only where the words ask them to."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.models.cross_modal_attention import CrossModalAttention
from mme2e.models.towers import Tower, TowerInput
from mme2e.ops.sparse_conv2d import SparseMaps, sparse_max_pool2d, submanifold_conv2d
from mme2e.ops.top_p import top_p_mask


class SiteNorm(nn.BatchNorm1d):
    """Batch normalisation over active sites, with the reference's constants.

    A single site has no variance: in training it becomes the bias, as a batch of equal sites does.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-4, momentum=0.01)

    def forward(self, features: Tensor) -> Tensor:
        """(sites, channels) to the same shape."""
        if self.training and len(features) < 2:
            return (features - features.detach()) * self.weight + self.bias
        return super().forward(features)


class SparseStage(nn.Module):
    """Attention, top-p selection, twice submanifold convolution, normalisation and ReLU, and 2x2 pooling.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of both convolutions.
        text_dim: Width of the text vector.
    """

    def __init__(self, in_channels: int, out_channels: int, text_dim: int) -> None:
        super().__init__()
        self.attention = CrossModalAttention(in_channels, text_dim)
        self.conv1 = nn.Parameter(torch.empty(9, out_channels, in_channels))
        self.norm1 = SiteNorm(out_channels)
        self.conv2 = nn.Parameter(torch.empty(9, out_channels, out_channels))
        self.norm2 = SiteNorm(out_channels)
        for weight in (self.conv1, self.conv2):
            nn.init.normal_(weight, std=(2 / (9 * weight.shape[2])) ** 0.5)

    def forward(self, maps: SparseMaps, text: Tensor, top_p: float) -> SparseMaps:
        """Maps of half the height and width.

        The attention that selects is not trained, as in the reference: selecting has no gradient.

        Args:
            maps: Features (sites, in_channels).
            text: (frames, text_dim).
            top_p: Share of the attention that the kept sites hold, in (0, 1].
        """
        with torch.no_grad():
            weights = self.attention(maps, text)
        maps = maps.select(top_p_mask(weights, maps.sites.frame_offsets, top_p))
        maps = submanifold_conv2d(maps, self.conv1)
        maps = maps.with_features(F.relu_(self.norm1(maps.features)))
        maps = submanifold_conv2d(maps, self.conv2)
        # The maximum before the ReLU gives the same numbers and leaves the ReLU less work.
        maps = sparse_max_pool2d(maps.with_features(self.norm2(maps.features)))
        return maps.with_features(F.relu_(maps.features))


class SparseTower(Tower):
    """One vector for each map, computed where the text's attention looks (reference section 1).

    Args:
        source: The maps that come in.
        channels: Channels of the low level and of the three stages.
        hidden_dim: Width between the two linear layers.
        out_dim: Width of the result.
        text_dim: Width of the text vector.
        top_p: Share of the attention that each stage keeps.
    """

    def __init__(
        self,
        source: TowerInput,
        *,
        channels: tuple[int, int, int, int],
        hidden_dim: int,
        out_dim: int,
        text_dim: int,
        top_p: float,
    ) -> None:
        self._text_dim = text_dim
        self._top_p = top_p
        super().__init__(source, channels=channels, hidden_dim=hidden_dim, out_dim=out_dim)

    def _stage(self, in_channels: int, out_channels: int) -> nn.Module:
        return SparseStage(in_channels, out_channels, self._text_dim)

    def _features(self, maps: Tensor, *asked: Tensor) -> Tensor:
        """As in the dense tower, zero where no site is left; asks for (maps, text_dim), each map's text vector."""
        (text,) = asked
        sparse = SparseMaps.from_dense(self.low_level(maps))
        for stage in self.stages:
            sparse = stage(sparse, text, self._top_p)
        return sparse.to_dense().flatten(1)
