"""Which sites of which face crop and mel chunk the stages of MESM kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mme2e.data.batch import Batch
from mme2e.inference.refusals import check_selects
from mme2e.models import MESM
from mme2e.models.sparse_tower import SparseStage
from mme2e.models.trace import Selected, Trace
from mme2e.ops.sparse_conv2d import Sites


@dataclass(frozen=True, kw_only=True, eq=False)
class StageSelection:
    """What one stage selected, in all maps of a batch one after the other.

    Attributes:
        candidates: (maps, height, width) bool, the sites that the stage could choose from: all in stage 1, later those
            that the stage before left over.
        kept: (maps, height, width) bool, the sites that went on into its convolutions; some of the candidates.
        attention: (maps, height, width) float32, weight of each candidate, adding up to 1 in a map; 0 elsewhere.
        top_p: Share of the attention that the stage keeps.
    """

    candidates: np.ndarray
    kept: np.ndarray
    attention: np.ndarray
    top_p: float

    @property
    def kept_share(self) -> float:
        """Kept sites as a share of all sites, those included that were no candidates; 0..1."""
        return float(self.kept.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class SelectedSites:
    """What all stages selected for a batch.

    Attributes:
        logits: (batch, emotions), of the same forward pass.
        visual: Stages 1 to 3 over the face crops; None when the model uses no faces or the batch has none.
        acoustic: Stages 1 to 3 over the mel chunks; None when the model uses no audio or the batch has none.
    """

    logits: Tensor
    visual: tuple[StageSelection, ...] | None
    acoustic: tuple[StageSelection, ...] | None


@torch.inference_mode()
def selected_sites(model: nn.Module, batch: Batch) -> SelectedSites:
    """Runs the model and returns what its stages kept; threads may do so side by side.

    Args:
        model: MESM in evaluation mode.
        batch: Utterances with text, on the model's device.

    Raises:
        UserError: The model is no MESM, the batch has no text, or an utterance has none of the model's modalities.
        ValueError: The model is in training mode.
    """
    check_selects(type(model).__name__.lower())
    assert isinstance(model, MESM)
    if model.training:
        raise ValueError("the model is in training mode, where a forward pass changes it; call model.eval() first")
    trace = Trace()
    logits = model(batch, trace)
    visual, acoustic = selections_of(model, trace)
    return SelectedSites(logits=logits, visual=visual, acoustic=acoustic)


def selections_of(
    model: MESM, trace: Trace
) -> tuple[tuple[StageSelection, ...] | None, tuple[StageSelection, ...] | None]:
    """What a forward pass left in its trace, of the face crops and of the mel chunks; see `SelectedSites`."""
    visual, acoustic = (
        _selections([stage for name, stage in model.stages.items() if name.startswith(modality)], trace)
        for modality in ("visual", "acoustic")
    )
    return visual, acoustic


def _selections(stages: Sequence[SparseStage], trace: Trace) -> tuple[StageSelection, ...] | None:
    """Of a modality's stages in their order; None when no map went through them."""
    selections = [_joined(trace.of(stage.selection)) for stage in stages if trace.of(stage.selection)]
    return tuple(selections) or None


def _joined(groups: list[Selected]) -> StageSelection:
    """What a stage selected in all groups of maps that a tower sent through it, one after the other."""
    candidates = [group.candidates for group in groups]
    kept = [group.kept for group in groups]
    return StageSelection(
        candidates=_dense(candidates, [torch.ones_like(sites.positions, dtype=torch.bool) for sites in candidates]),
        kept=_dense(kept, [torch.ones_like(sites.positions, dtype=torch.bool) for sites in kept]),
        attention=_dense(candidates, [group.attention.float() for group in groups]),
        top_p=groups[0].top_p,
    )


def _dense(groups: list[Sites], values: list[Tensor]) -> np.ndarray:
    """(maps, height, width) of all groups of maps, zero (False) where no site is."""
    maps = []
    for sites, value in zip(groups, values, strict=True):
        flat = value.new_zeros(sites.full_sites).index_copy(0, sites.positions, value)
        maps.append(flat.view(sites.shape))
    return torch.cat(maps).cpu().numpy()
