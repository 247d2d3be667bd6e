"""What the runs of an experiment said about the test split, read from their folders."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.errors import UserError
from mme2e.scores.metrics import one_choice
from mme2e.scores.statistics import Outcome
from mme2e.scores.thresholds import decide

METRICS_FILE = "metrics_test.json"
PREDICTIONS_FILE = "predictions_test.csv"


def read_metrics(scores: Path) -> Mapping[str, Any]:
    """What `mme2e evaluate` wrote about the test split.

    Args:
        scores: Folder that it wrote into.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = scores / METRICS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it, and the run is scored again") from error
    if not isinstance(content, dict) or "corpus" not in content:
        raise UserError(f"{path} holds no scores; delete it, and the run is scored again")
    return content


def read_outcome(scores: Path) -> Outcome:
    """The predictions of a run for the test split, decided by the thresholds that were fixed on validation.

    Args:
        scores: Folder that `mme2e evaluate` wrote into.

    Raises:
        UserError: A file is missing or damaged, or the two are not of the same evaluation.
    """
    metrics, path = read_metrics(scores), scores / PREDICTIONS_FILE
    names = metrics["label_names"]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        ids = tuple(row["id"] for row in rows)
        probabilities = np.array([[float(row[f"probability_{name}"]) for name in names] for row in rows])
        labels = np.array([[row[f"label_{name}"] == "1" for name in names] for row in rows])
        # Files of older versions have neither.
        recordings, speakers = (
            tuple(row[column] for row in rows) if rows and column in rows[0] else None
            for column in ("recording", "speaker")
        )
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}); delete it, and the run is scored again") from error
    if len(ids) != metrics["utterances"] or labels.sum(axis=0).tolist() != metrics["positives"]:
        raise UserError(f"{path} and {METRICS_FILE} are of different evaluations; delete both, and it is scored again")
    thresholds = metrics["thresholds"]
    decisions = one_choice(probabilities) if thresholds is None else decide(probabilities, np.array(thresholds))
    return Outcome(
        ids=ids,
        probabilities=probabilities,
        decisions=decisions,
        labels=labels,
        recordings=recordings,
        speakers=speakers,
    )
