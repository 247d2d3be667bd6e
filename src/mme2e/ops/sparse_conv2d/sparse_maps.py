"""Sparse 2-D maps, and the rule book that tells which active sites are neighbours."""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d.compiled import can_compile, find_neighbours
from mme2e.ops.sparse_conv2d.select_rows import take_rows
from mme2e.ops.top_p import frame_of_site

NEIGHBOURS_BEFORE = ((-1, -1), (-1, 0), (-1, 1), (0, -1))
"""Offsets (dy, dx) of a 3x3 kernel before its centre; those after it are their mirror images."""

_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class RuleBook:
    """Pairs of neighbouring active sites, built once for a mask and shared by all that is done on it.

    Attributes:
        pairs: For each offset of `NEIGHBOURS_BEFORE`, (sites, their neighbours at that offset), both (pairs,) int64.
            Read the other way round they are the pairs of the mirrored offset.
    """

    pairs: tuple[tuple[Tensor, Tensor], ...]

    @cached_property
    def padded_pairs(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """The pairs, each list filled up with site 0 to a multiple of 32.

        Matrix libraries prepare a kernel for every new number of rows, which takes longer than a small product; so
        there are few numbers.
        """

        def fill(sites: Tensor) -> Tensor:
            return F.pad(sites, (0, -len(sites) % _ROWS))

        return tuple((fill(sites), fill(neighbours)) for sites, neighbours in self.pairs)

    @property
    def num_pairs(self) -> int:
        """Pairs of an active site and an active neighbour: matrix products of a 3x3 convolution beside the centre's."""
        return 2 * sum(len(sites) for sites, _ in self.pairs)


class Sites:
    """The active sites of a batch of 2-D maps. Everything derived from them is computed once and shared.

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
    def cells(self) -> int:
        """Sites of the dense maps, active or not."""
        return self.frames * self.height * self.width

    @property
    def density(self) -> float:
        """Active sites as a share of all; 0 for a batch without frames."""
        return len(self) / max(1, self.cells)

    @property
    def dense_products(self) -> int:
        """Pairs of neighbours, each site with itself included, if all sites were active."""
        return self.frames * max(0, 3 * self.height - 2) * max(0, 3 * self.width - 2)

    @cached_property
    def num_products(self) -> int:
        """Pairs of neighbouring active sites, each site with itself included: what a 3x3 convolution multiplies."""
        if "rule_book" in self.__dict__:  # there already
            return len(self) + self.rule_book.num_pairs
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
    def rule_book(self) -> RuleBook:
        """Which sites are neighbours."""
        return build_rule_book(self.positions, self.shape)

    @cached_property
    def neighbours(self) -> Tensor:
        """(sites, 9) int32: the site at each offset of a 3x3 kernel, row-major, itself included; -1 for none."""
        if can_compile(self.positions.device):
            return find_neighbours(self.positions.contiguous(), self.shape)
        return build_neighbours(self.positions, self.shape)


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
        return SparseMaps(take_rows(self.features, kept, gates), sites)

    def to_dense(self) -> Tensor:
        """(frames, channels, height, width) in channels-last memory, zero where no site is."""
        channels = self.features.shape[1]
        dense = self.features
        if len(self.sites) < self.sites.cells:
            dense = dense.new_zeros(self.sites.cells, channels).index_copy(0, self.sites.positions, dense)
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


def build_rule_book(positions: Tensor, shape: tuple[int, int, int]) -> RuleBook:
    """Finds the neighbours of every active site.

    Args:
        positions: (sites,) int64, rising, as in `Sites`.
        shape: (frames, height, width).
    """
    table, here, row_step = _numbered_cells(positions, shape)
    pairs = []
    for dy, dx in NEIGHBOURS_BEFORE:
        neighbours = table.index_select(0, here + (dy * row_step + dx))
        found = (neighbours >= 0).nonzero().squeeze(1)
        pairs.append((found, neighbours.index_select(0, found)))
    return RuleBook(pairs=tuple(pairs))


def build_neighbours(positions: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """What the rule book tells, as a table with a row for each site: no list whose length the host has to wait for.

    Args:
        positions: (sites,) int64, rising, as in `Sites`.
        shape: (frames, height, width).

    Returns:
        (sites, 9) int32, offsets row-major (dy, then dx) from -1 to 1; -1 where no active site is.
    """
    table, here, row_step = _numbered_cells(positions, shape)
    offsets = torch.arange(9, device=positions.device)
    steps = (offsets // 3 - 1) * row_step + offsets % 3 - 1
    return table.int()[here.unsqueeze(1) + steps]


def _numbered_cells(positions: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, int]:
    """A flat table of the cells that names the site in each, or -1; the sites' places in it; its row length."""
    frames, height, width = shape
    row_step = width + 2
    # A border of "no site" around every frame, so that no neighbour falls outside; frames share the row between them.
    table = positions.new_full(((frames * (height + 1) + 1) * row_step,), -1)
    frame, cell = positions // (height * width), positions % (height * width)
    here = (frame * (height + 1) + cell // width + 1) * row_step + cell % width + 1
    table[here] = torch.arange(len(positions), device=positions.device)
    return table, here, row_step
