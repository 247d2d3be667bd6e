"""Half of what a model was before it was trained on composites, half of what it became.

Training on composites teaches the modalities to answer together, and shifts each of them to how frequent emotions are
in composites. The mean of the weights before and after keeps most of both (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models").
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mme2e.config.checks import require
from mme2e.errors import UserError
from mme2e.models.late_fusion import BRANCHES
from mme2e.runs.folder import load_run


def blend(model: nn.Module, branches: Mapping[str, Path], share: float) -> None:
    """Moves the branches of a model towards those that it was trained from; the fusion stays as it is.

    Args:
        model: Of several modalities.
        branches: Run that each branch began with, by the letter of its modality.
        share: How far, from 0, not at all, to 1, all the way; statistics of batch normalisation, too.

    Raises:
        UserError: The share is another, a run cannot be read, or its branch is of another shape.
    """
    require(0 <= share <= 1, f"blend must be in [0, 1], not {share}")
    if share == 0:
        return
    weights = model.state_dict()
    for letter, run in branches.items():
        prefix = f"{BRANCHES[letter]}."
        before = load_run(run).model.state_dict()
        for name in [name for name in weights if name.startswith(prefix)]:
            weights[name] = _between(weights[name], before.get(name), share, f"{run}: {name}")
    model.load_state_dict(weights)


def _between(after: Tensor, before: Tensor | None, share: float, place: str) -> Tensor:
    if before is None or before.shape != after.shape:
        there = "missing" if before is None else f"{tuple(before.shape)}"
        raise UserError(f"{place} is {there}; expected is {tuple(after.shape)}, as in the model that is packed")
    return after.lerp(before, share) if after.is_floating_point() else after
