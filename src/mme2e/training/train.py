"""`train`: from a prepared corpus to a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from mme2e.config import TrainSettings

if TYPE_CHECKING:
    from mme2e.training.trainer import TrainResult


def train(
    settings: TrainSettings = TrainSettings(), *, data: str | Path, out: str | Path, resume: bool = False
) -> "TrainResult":
    """Trains a model on a prepared corpus and writes a run folder.

    Beside the model the run folder gets `train_settings.yaml` (for `--config`), `metrics.json` (validation scores of
    every epoch), `checkpoints/` and `logs/` (TensorBoard, CSV).

    Args:
        settings: How to train.
        data: Prepared corpus.
        out: Run folder to write; new or empty, unless resuming.
        resume: Go on from the last finished epoch of the run folder. On the same machine and with
            `settings.deterministic` the numbers are those of a run that was never interrupted, bit by bit. A run that
            is finished is left as it is.

    Raises:
        UserError: Settings and corpus do not fit, `out` holds something already or another training works on it, or
            there is nothing to resume; or the loss stopped being a number.
    """
    from mme2e.training.trainer import train_model

    return train_model(settings, data=Path(data), out=Path(out), resume=resume)
