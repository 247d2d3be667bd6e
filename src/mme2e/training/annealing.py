"""MESM may start dense: top-p falls from 1 to the setting's value, so that attention first learns from all sites."""

import math
from typing import Any

from lightning import LightningModule
from lightning.pytorch import Callback, Trainer

from mme2e.config import TrainSettings
from mme2e.models import MESM


def top_p_at(step: float, steps: float, final: float) -> float:
    """Share of the attention to keep after some updates: a straight line from 1 down to `final`.

    Args:
        step: Updates done, from 0.
        steps: Updates of the fall; 0 starts at `final`.
        final: Value that stays, in (0, 1].
    """
    return final if step >= steps else 1 - (1 - final) * step / steps


class TopPAnnealing(Callback):
    """Sets top-p before every step; validation always sees the final value, so that its scores are comparable.

    A budget takes over when the fall ends: until then it does not move top-p.

    Args:
        settings: `anneal_epochs`, and `model.top_p`, where the fall ends.
    """

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the value of this step."""
        self._set(trainer, pl_module, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sets the final value."""
        self._set(trainer, pl_module, math.inf)

    def _set(self, trainer: Trainer, pl_module: LightningModule, step: float) -> None:
        model, settings = pl_module.model, self._settings
        if not isinstance(model, MESM):
            return
        steps = settings.anneal_epochs * trainer.estimated_stepping_batches / settings.epochs
        over = trainer.global_step >= steps
        if over and model.follows_budget:
            return  # the budget's value, or the final one, is there already
        model.set_top_p(top_p_at(step, steps, settings.model.top_p))
        model.follows_budget = over
