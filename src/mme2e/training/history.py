"""What a training run writes down about itself: its settings, its corpus, its epochs."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mme2e.atomic import write_text
from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.records import Undefinable, load, plain, read_record, to_json, to_yaml

SETTINGS_FILE = "train_settings.yaml"
METRICS_FILE = "metrics.json"
LOG_FOLDER = "logs"
CSV_FILE = "metrics.csv"
CHECKPOINT_FOLDER = "checkpoints"
BEST_FILE = "best.ckpt"
LAST_FILE = "last.ckpt"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        epoch: From 1.
        step: Updates of the weights so far.
        learning_rate: At the end of the epoch, of everything but the text encoder.
        train_loss: Mean over the epoch.
        valid_loss: On the validation split.
        valid_macro_f1: Mean F1, at the best threshold of each emotion (bce) or of the most probable emotion (ce).
        valid_auc: Mean area under the ROC curve.
        valid_weighted_accuracy: Mean of TPR and TNR, averaged over emotions, of the same decisions as the F1.
        thresholds: Best threshold of each emotion; None for ce.
        seconds: The epoch took, with validation.
        data_wait_share: Share of the training part of the epoch spent waiting for data.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: Undefinable
    valid_loss: Undefinable
    valid_macro_f1: Undefinable
    valid_auc: Undefinable
    valid_weighted_accuracy: Undefinable
    thresholds: tuple[float, ...] | None
    seconds: float
    data_wait_share: float


def best_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch with the best validation macro F1, the first at a tie; `history` is not empty."""
    return max(history, key=lambda record: record.valid_macro_f1)


def settings_to_yaml(settings: TrainSettings) -> str:
    """The settings as a file for `--config`."""
    return to_yaml(settings)


def require_same_settings(run: Path, settings: TrainSettings) -> None:
    """Refuses to go on with a run under other settings.

    How many worker processes read the data changes no number, so `num_workers` may differ.

    Raises:
        UserError: Naming all keys that differ, with both values; or the file of the run is damaged.
    """
    path = run / SETTINGS_FILE
    try:
        before = load(path)
    except UserError as error:
        raise UserError(f"{path} {error}; this run cannot be resumed") from error
    now = plain(settings)
    if not isinstance(before, dict):
        raise UserError(f"{path} is damaged: it holds no settings; this run cannot be resumed")
    flat_before, flat_now = _flat(before), _flat(now)
    others = [
        f"{key} was {flat_before.get(key)}, now it is {flat_now.get(key)}"
        for key in sorted(flat_before.keys() | flat_now.keys())
        if key != "num_workers" and flat_before.get(key) != flat_now.get(key)
    ]
    if others:
        raise UserError(f"--resume requires the settings that {run} was started with: {'; '.join(others)}")


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """`metrics.json`: where a run stands. It is rewritten after every epoch.

    Attributes:
        finished: Whether training came to its end.
        corpus: Name and fingerprint.
        label_names: Emotions, in the order of the thresholds.
        best: The best epoch; None before the first.
        history: All finished epochs.
    """

    finished: bool
    corpus: str
    label_names: tuple[str, ...]
    best: EpochRecord | None
    history: tuple[EpochRecord, ...]

    def with_history(self, history: Sequence[EpochRecord], *, finished: bool) -> "TrainingReport":
        """The same run after other epochs."""
        best = best_epoch(history) if history else None
        return replace(self, finished=finished, best=best, history=tuple(history))

    def write(self, run: Path) -> None:
        """Writes `metrics.json`, where what is undefined is null, and after an epoch `logs/metrics.csv`."""
        write_text(run / METRICS_FILE, to_json(self))
        if self.history:
            (run / LOG_FOLDER).mkdir(exist_ok=True)
            write_text(run / LOG_FOLDER / CSV_FILE, history_to_csv(self.history))

    @classmethod
    def read(cls, run: Path) -> "TrainingReport":
        """Reads `metrics.json` of a run folder.

        Raises:
            UserError: There is none, or it is damaged.
        """
        return read_record(cls, run / METRICS_FILE, advice=f"{run} is not a complete training run")


def history_to_csv(history: Sequence[EpochRecord]) -> str:
    """One line an epoch, without the thresholds."""
    names = [field.name for field in fields(EpochRecord) if field.name != "thresholds"]
    file = io.StringIO()
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in history)
    return file.getvalue()


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
