"""Sparse 2-D feature maps, and which of their active sites are neighbours."""

from functools import cached_property

import torch
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops.top_p import frame_of_site

Pairs = tuple[tuple[Tensor, Tensor], ...]
"""For each of the nine offsets, the sites that have a neighbour there, and those neighbours; (pairs,) int64 each."""


class Sites:
    """The active sites of a batch of 2-D feature maps. Everything derived from them is computed once and shared.

    Attributes:
        positions: (sites,) int64, rising: frame * height * width + row * width + column.
        frames, height, width: Shape of the dense maps.
    """

    def __init__(self, positions: Tensor, shape: tuple[int, int, int]) -> None:
        self.positions = positions
        self.frames, self.height, self.width = shape

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, height, width)."""
        return self.frames, self.height, self.width

    @property
    def full_sites(self) -> int:
        """Sites of the dense maps, active or not."""
        return self.frames * self.height * self.width

    @property
    def density(self) -> float:
        """Active sites as a share of all; 0 for a batch without frames."""
        return len(self) / max(1, self.full_sites)

    @property
    def full_pairs(self) -> int:
        """Pairs of neighbours, each site with itself included, if all sites were active."""
        return self.frames * max(0, 3 * self.height - 2) * max(0, 3 * self.width - 2)

    @cached_property
    def num_pairs(self) -> int:
        """Pairs of neighbouring active sites, each site with itself included: what a 3x3 convolution multiplies."""
        return int((self.neighbours >= 0).sum())

    @cached_property
    def frame_offsets(self) -> Tensor:
        """(frames + 1,) int64 borders of the frames in the list of sites."""
        borders = torch.arange(self.frames + 1, device=self.positions.device) * (self.height * self.width)
        return torch.searchsorted(self.positions, borders)

    @cached_property
    def frame(self) -> Tensor:
        """(sites,) int64 frame of each site."""
        return frame_of_site(self.frame_offsets, len(self))

    @cached_property
    def neighbours(self) -> Tensor:
        """The rule book: (sites, 9) int32, the site at each offset of a 3x3 kernel, row-major; -1 for none."""
        return build_neighbours(self.positions, self.shape)

    @cached_property
    def pairs(self) -> Pairs:
        """The rule book as a list for each offset; on a GPU the host waits for the lengths of the lists."""
        found = [(column >= 0).nonzero().squeeze(1) for column in self.neighbours.unbind(1)]
        columns = self.neighbours.long().unbind(1)
        return tuple((sites, column[sites]) for sites, column in zip(found, columns, strict=True))


class SparseMaps:
    """Features of the active sites of a batch of 2-D maps.

    Attributes:
        features: (sites, channels) float, ordered by frame, then row, then column.
        sites: Where they are; shared between maps that differ in features only.

    Raises:
        UserError: Features and sites differ in number or device.
    """

    def __init__(self, features: Tensor, sites: Sites) -> None:
        if len(features) != len(sites):
            raise UserError(f"{len(features)} feature vectors do not fit {len(sites)} sites")
        if features.device != sites.positions.device:
            raise UserError(f"features are on {features.device}, sites on {sites.positions.device}: one must be chosen")
        self.features = features
        self.sites = sites

    def with_features(self, features: Tensor) -> "SparseMaps":
        """The same sites with other features (sites, any channels)."""
        return SparseMaps(features, self.sites)

    def take(self, kept: Tensor, gates: Tensor | None = None) -> "SparseMaps":
        """Only the sites at `kept` (number,) int64, rising; their features times `gates` (number,), if given."""
        sites = Sites(self.sites.positions.index_select(0, kept), self.sites.shape)
        features = self.features.index_select(0, kept)
        return SparseMaps(features if gates is None else features * gates.unsqueeze(1), sites)

    def to_dense(self) -> Tensor:
        """(frames, channels, height, width) in channels-last memory, zero where no site is."""
        channels = self.features.shape[1]
        dense = self.features
        if len(self.sites) < self.sites.full_sites:
            dense = dense.new_zeros(self.sites.full_sites, channels).index_copy(0, self.sites.positions, dense)
        return dense.view(*self.sites.shape, channels).permute(0, 3, 1, 2)

    @classmethod
    def from_dense(cls, maps: Tensor, mask: Tensor | None = None) -> "SparseMaps":
        """The sites of dense maps.

        Args:
            maps: (frames, channels, height, width) float.
            mask: (frames, height, width) bool, True where a site is; all when None.

        Raises:
            UserError: The mask does not fit the maps.
        """
        frames, channels, height, width = maps.shape
        rows = maps.permute(0, 2, 3, 1).reshape(-1, channels)
        if mask is None:
            return cls(rows, Sites(torch.arange(len(rows), device=maps.device), (frames, height, width)))
        if mask.shape != (frames, height, width):
            raise UserError(f"a mask of {tuple(mask.shape)} does not fit maps of {(frames, height, width)}")
        positions = mask.reshape(-1).nonzero().squeeze(1)
        return cls(rows.index_select(0, positions), Sites(positions, (frames, height, width)))


def build_neighbours(positions: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Finds the neighbours of every active site; no list whose length the host has to wait for.

    Args:
        positions: (sites,) int64, rising, as in `Sites`.
        shape: (frames, height, width).

    Returns:
        (sites, 9) int32, offsets row-major (dy, then dx) from -1 to 1; -1 where no active site is.
    """
    frames, height, width = shape
    row_step = width + 2
    # A border of "no site" around every frame, so that no neighbour falls outside; frames share the row between them.
    numbers = torch.arange(len(positions), dtype=torch.int32, device=positions.device)
    table = numbers.new_full(((frames * (height + 1) + 1) * row_step,), -1)
    frame, site = positions // (height * width), positions % (height * width)
    here = (frame * (height + 1) + site // width + 1) * row_step + site % width + 1
    table[here] = numbers
    offsets = torch.arange(9, device=positions.device)
    steps = (offsets // 3 - 1) * row_step + offsets % 3 - 1
    return table[here.unsqueeze(1) + steps]
