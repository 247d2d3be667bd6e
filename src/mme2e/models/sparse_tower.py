"""The tower of the sparse model: a dense low level, then stages that compute only the sites that the text selects."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.config import ModelSettings
from mme2e.models.selection import Selection
from mme2e.models.towers import Tower, TowerInput
from mme2e.models.trace import Trace
from mme2e.ops.batch_norm import batch_norm_relu, can_normalise, scale_and_shift
from mme2e.ops.sparse_conv2d import SparseMaps, sparse_max_pool2d, submanifold_conv2d


class SiteNorm(nn.BatchNorm1d):
    """Batch normalisation over active sites, with the reference's epsilon.

    Its averages move by 0.1 a step, as those of the dense layers (the reference: 0.01). A single site has no variance:
    in training it becomes the bias, as a batch of equal sites does.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-4)

    def normalise_relu(self, features: Tensor) -> Tensor:
        """Normalisation and ReLU: (sites, channels) to the same shape."""
        if self.training and len(features) < 2:
            return F.relu((features - features.detach()) * self.weight + self.bias)
        if self.training and can_normalise(features, self):
            return batch_norm_relu(features, self)
        return F.relu_(self(features))


class SubmanifoldConv2d(nn.Module):
    """3x3 convolution without bias over active sites.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(9, out_channels, in_channels))
        # As nn.Conv2d begins, so that the stages learn at the pace of the dense ones.
        bound = (9 * in_channels) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, maps: SparseMaps, scale_and_shift: tuple[Tensor, Tensor] | None = None) -> SparseMaps:
        """Features (sites, in_channels) to (sites, out_channels); see `submanifold_conv2d`."""
        return submanifold_conv2d(maps, self.weight, scale_and_shift=scale_and_shift)


class SparseStage(nn.Module):
    """Selection, twice submanifold convolution, normalisation and ReLU, and 2x2 pooling.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of both convolutions.
        text_dim: Width of the text vector.
        settings: `top_p` and how the attention learns.
    """

    def __init__(self, in_channels: int, out_channels: int, text_dim: int, settings: ModelSettings) -> None:
        super().__init__()
        attention = settings.attention
        self.selection = Selection(
            in_channels, text_dim, top_p=settings.top_p, mode=attention.mode, moving=attention.budget is not None
        )
        self.conv1 = SubmanifoldConv2d(in_channels, out_channels)
        self.norm1 = SiteNorm(out_channels)
        self.conv2 = SubmanifoldConv2d(out_channels, out_channels)
        self.norm2 = SiteNorm(out_channels)

    def forward(self, maps: SparseMaps, text: Tensor, trace: Trace | None = None) -> SparseMaps:
        """Maps of half the height and width.

        Args:
            maps: Features (sites, in_channels).
            text: (frames, text_dim).
            trace: What is selected is added to it.
        """
        maps = self.selection(maps, text, trace)
        if not self.training and not torch.is_grad_enabled():
            maps = self.conv1(maps, scale_and_shift(self.norm1))
            return sparse_max_pool2d(self.conv2(maps, scale_and_shift(self.norm2)))
        maps = self.conv1(maps)
        maps = self.conv2(maps.with_features(self.norm1.normalise_relu(maps.features)))
        return sparse_max_pool2d(maps.with_features(self.norm2.normalise_relu(maps.features)))

    @property
    def macs_per_pair(self) -> int:
        """MACs that each pair of neighbouring sites costs in both convolutions."""
        return (self.conv1.weight[0].numel()) + (self.conv2.weight[0].numel())


class SparseTower(Tower):
    """One vector for each map, computed where the text's attention looks (reference section 1).

    Args:
        source: The maps that come in.
        channels: Channels of the low level and of the three stages.
        settings: Sizes, `top_p` and how the attention learns.
        text_dim: Width of the text vector.
    """

    _times = 4
    """Sparse stages do many small matrix products: fewer and larger groups suit them."""

    def __init__(
        self, source: TowerInput, channels: tuple[int, int, int, int], settings: ModelSettings, *, text_dim: int
    ) -> None:
        super().__init__(
            source,
            channels=channels,
            hidden_dim=settings.tower_dim,
            out_dim=settings.trans_dim,
            make_stage=partial(SparseStage, text_dim=text_dim, settings=settings),
        )

    def _features(self, maps: Tensor, *query: Tensor, trace: Trace | None) -> Tensor:
        """As in the dense tower, zero where no site is left; the query is (maps, text_dim), each map's text vector."""
        (text,) = query
        sparse = SparseMaps.from_dense(self.low_level(maps))
        for stage in self.stages:
            sparse = stage(sparse, text, trace)
        return sparse.to_dense().flatten(1)
