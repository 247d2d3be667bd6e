"""The convolutional tower over face crops and over mel chunks: one class, two configurations.

A tower is a dense low level, three stages and two linear layers; the sparse model shares the low level.
Activations and weights are kept channels-last, which is what makes the convolutions fast on CPUs and GPUs.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.models.normalised_convolution import convolve_normalise_relu
from mme2e.models.trace import Trace
from mme2e.ops.first_layer import can_fuse, first_layer


@dataclass(frozen=True, kw_only=True)
class TowerInput:
    """What a tower looks at.

    Attributes:
        channels: Channels of a map.
        height: Rows of a map.
        width: Columns of a map.
        mean: Subtracted from each channel; None leaves the values as they are.
        std: Each channel is divided by it after the mean is subtracted.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


FACE_INPUT = TowerInput(channels=3, height=48, width=48, mean=(159.0, 111.0, 102.0), std=(37.0, 33.0, 32.0))
"""RGB face crops, 0..255, with the reference's normalisation."""

AUDIO_INPUT = TowerInput(channels=1, height=128, width=32)
"""Power mel chunks: 128 bands by 32 columns."""


_CPU_GROUP, _GPU_GROUP = 16, 1024
"""Maps that go through a tower together in evaluation without gradients."""


def in_groups(features: Callable[..., Tensor], *maps: Tensor, times: int, whole: bool) -> Tensor:
    """Applies a function that looks at each map on its own, group by group when nothing is learnt.

    Memory stays bounded, and small groups stay in the CPU's cache.

    Args:
        features: Takes what `maps` are, returns (maps, features).
        maps: Tensors with as many rows as there are maps.
        times: Groups are so many times larger than those for dense convolutions.
        whole: All at once whatever happens, since maps have to see each other (batch normalisation in training).
    """
    if whole or torch.is_grad_enabled():
        return features(*maps)
    group = times * (_CPU_GROUP if maps[0].device.type == "cpu" else _GPU_GROUP)
    return torch.cat([features(*parts) for parts in zip(*(each.split(group) for each in maps), strict=True)])


class VggBlock(nn.Module):
    """Twice a 3x3 convolution, batch normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of both convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, *, pool: bool = False) -> Tensor:
        """Maps (maps, in_channels, height, width) to (maps, out_channels, height, width).

        With `pool`, a 2x2 maximum halves the result.
        """
        x = convolve_normalise_relu(x, self.conv1, self.bn1)
        return convolve_normalise_relu(x, self.conv2, self.bn2, pool=pool)


class LowLevel(nn.Module):
    """The dense first part of a tower, which halves height and width once.

    Args:
        source: The maps that come in.
        channels: Channels of all its convolutions.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, source: TowerInput, channels: int) -> None:
        super().__init__()
        self.source = source
        for name, values in (("mean", source.mean), ("std", source.std)):
            constant = None if values is None else torch.tensor(values).view(1, -1, 1, 1)
            self.register_buffer(name, constant, persistent=False)
        self.conv = nn.Conv2d(source.channels, channels, 5, padding=2)
        self.bn = nn.BatchNorm2d(channels)
        self.block1 = VggBlock(channels, channels)
        self.block2 = VggBlock(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Low-level features.

        Args:
            maps: (maps, channels, height, width) of `source`, any dtype.

        Returns:
            (maps, channels, height / 2, width / 2), channels-last, in the dtype of the weights.

        Raises:
            ValueError: The maps have another shape.
        """
        expected = (self.source.channels, self.source.height, self.source.width)
        if maps.ndim != 4 or tuple(maps.shape[1:]) != expected:
            raise ValueError(f"a tower expects maps of shape {expected}, not a tensor of shape {tuple(maps.shape)}")
        x = maps.to(self.conv.weight.dtype, memory_format=torch.channels_last)
        if self.mean is not None and self.std is not None:
            x = (x - self.mean).div_(self.std)
        if can_fuse(x, self.conv, self.bn):
            x = first_layer(x, self.conv, self.bn)
        else:
            x = convolve_normalise_relu(x, self.conv, self.bn, pool=True)
        return self.block2(self.block1(x))


class Tower(nn.Module):
    """One vector for each map: low level, three stages that each halve the map, two linear layers.

    Reference section 1; Dai et al. 2021, section 4.

    Args:
        source: The maps that come in.
        channels: Channels of the low level and of the three stages.
        hidden_dim: Width between the two linear layers.
        out_dim: Width of the result.
        make_stage: Makes a stage, of the channels of its input and of its output.
    """

    _times = 1
    """Groups of maps in evaluation, of those for dense convolutions."""

    def __init__(
        self,
        source: TowerInput,
        *,
        channels: tuple[int, int, int, int],
        hidden_dim: int,
        out_dim: int,
        make_stage: Callable[[int, int], nn.Module] = VggBlock,
    ) -> None:
        super().__init__()
        self.low_level = LowLevel(source, channels[0])
        self.stages = nn.ModuleList(make_stage(before, after) for before, after in itertools.pairwise(channels))
        shrunk = 2 ** (1 + len(self.stages))
        self.hidden = nn.Linear(channels[-1] * (source.height // shrunk) * (source.width // shrunk), hidden_dim)
        self.output = nn.Linear(hidden_dim, out_dim)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs

    def forward(self, maps: Tensor, *query: Tensor, trace: Trace | None = None) -> Tensor:
        """Vectors of all maps.

        Args:
            maps: (maps, channels, height, width) of `source`, any dtype.
            query: (maps, ...) what the stages are conditioned on; nothing in the dense tower.
            trace: What the stages select is added to it; nothing in the dense tower.

        Returns:
            (maps, out_dim).

        Raises:
            ValueError: The maps have another shape.
        """
        features = in_groups(partial(self._features, trace=trace), maps, *query, times=self._times, whole=self.training)
        return self.output(F.relu(self.hidden(features)))

    def _features(self, maps: Tensor, *query: Tensor, trace: Trace | None) -> Tensor:
        """What the stages make of the maps, flattened in the order channels, height, width."""
        x = self.low_level(maps)
        for stage in self.stages:
            x = stage(x, pool=True)
        return x.flatten(1)
