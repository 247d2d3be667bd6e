"""Which cells of which face crop and mel chunk the stages of MESM kept, seen from outside while it computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.models import MESM
from mme2e.models.selection import Selection
from mme2e.ops.sparse_conv2d import Sites, SparseMaps


@dataclass(frozen=True, kw_only=True, eq=False)
class StageCells:
    """What one stage selected, in all maps of a batch one after the other.

    Attributes:
        candidates: (maps, height, width) bool, the cells that the stage could choose from: all in stage 1, later those
            that the stage before left over.
        kept: (maps, height, width) bool, the cells that went on into its convolutions; some of the candidates.
        attention: (maps, height, width) float32, weight of each candidate, adding up to 1 in a map; 0 elsewhere.
        top_p: Share of the attention that the stage keeps.
    """

    candidates: np.ndarray
    kept: np.ndarray
    attention: np.ndarray
    top_p: float

    @property
    def kept_share(self) -> float:
        """Kept cells as a share of all cells, those included that were no candidates; 0..1."""
        return float(self.kept.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class SelectedCells:
    """What all stages selected for a batch.

    Attributes:
        logits: (batch, emotions), of the same forward pass.
        visual: Stages 1 to 3 over the face crops; None when the model uses no faces or the batch has none.
        acoustic: Stages 1 to 3 over the mel chunks; None when the model uses no sound or the batch has none.
    """

    logits: Tensor
    visual: tuple[StageCells, ...] | None
    acoustic: tuple[StageCells, ...] | None


def check_selects(model: nn.Module) -> None:
    """Refuses a model that selects no cells.

    Raises:
        UserError: It is no MESM.
    """
    if not isinstance(model, MESM):
        raise UserError(f"{type(model).__name__.lower()} computes all cells: only a run of mesm selects some to show")


@torch.inference_mode()
def selected_cells(model: nn.Module, batch: Batch) -> SelectedCells:
    """Runs the model and tells what its stages kept.

    Args:
        model: MESM in evaluation mode.
        batch: Utterances with words, on the model's device.

    Raises:
        UserError: The model is no MESM, the batch has no words, or an utterance has none of the model's modalities.
        ValueError: The model is in training mode.
    """
    check_selects(model)
    assert isinstance(model, MESM)
    if model.training:
        raise ValueError("the model is in training mode, where a forward pass changes it; call model.eval() first")
    with _watched({name: stage.selection for name, stage in model.stages.items()}) as watches:
        logits = model(batch)
    return SelectedCells(logits=logits, visual=_cells_of("visual", watches), acoustic=_cells_of("acoustic", watches))


@dataclass
class _Watch:
    """What went through one selection: a tower sends its maps in groups, so there may be several calls."""

    top_p: float
    weights: list[Tensor] = field(default_factory=list)
    before: list[Sites] = field(default_factory=list)
    after: list[Sites] = field(default_factory=list)

    def see_attention(self, module: nn.Module, given: Any, weights: Tensor) -> None:
        self.weights.append(weights)

    def see_sites(self, module: nn.Module, given: tuple[SparseMaps, Tensor], kept: SparseMaps) -> None:
        self.before.append(given[0].sites)
        self.after.append(kept.sites)

    def cells(self) -> StageCells:
        ones = [torch.ones_like(weights, dtype=torch.bool) for weights in self.weights]
        kept = [torch.ones_like(sites.positions, dtype=torch.bool) for sites in self.after]
        return StageCells(
            candidates=_dense(self.before, ones),
            kept=_dense(self.after, kept),
            attention=_dense(self.before, [weights.float() for weights in self.weights]),
            top_p=self.top_p,
        )


@contextmanager
def _watched(selections: dict[str, Selection]) -> Iterator[dict[str, _Watch]]:
    watches = {name: _Watch(top_p=selection.top_p) for name, selection in selections.items()}
    handles = []
    try:
        for name, selection in selections.items():
            handles.append(selection.attention.register_forward_hook(watches[name].see_attention))
            handles.append(selection.register_forward_hook(watches[name].see_sites))
        yield watches
    finally:
        for handle in handles:
            handle.remove()


def _cells_of(modality: str, watches: dict[str, _Watch]) -> tuple[StageCells, ...] | None:
    """Of a modality's stages in their order; None when no map went through them."""
    stages = tuple(watch.cells() for name, watch in watches.items() if name.startswith(modality) and watch.after)
    return stages or None


def _dense(groups: list[Sites], values: list[Tensor]) -> np.ndarray:
    """(maps, height, width) of all groups of maps, zero (False) where no site is."""
    maps = []
    for sites, value in zip(groups, values, strict=True):
        flat = value.new_zeros(sites.cells).index_copy(0, sites.positions, value)
        maps.append(flat.view(sites.shape))
    return torch.cat(maps).cpu().numpy()
