"""The mean over the runs of several seeds."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console

from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import percent, print_table
from mme2e.scores.metrics import average

SCORES = {"F1": "f1", "WAcc": "weighted_accuracy", "AUC": "auc", "AP": "average_precision", "Acc": "accuracy"}


def print_mean(results: Sequence[Evaluation], console: Console | None = None) -> None:
    """Prints the scores of each run, averaged over emotions, with their mean and standard deviation.

    Args:
        results: At least two runs of one split.
        console: Where; standard output when None.
    """
    values = np.array(
        [[average(getattr(each.scores, name)).value for name in SCORES.values()] for each in results], dtype=np.float64
    )
    # Of a sample: divided by one less than there are.
    summary = {"mean": values.mean(axis=0), "standard deviation": values.std(axis=0, ddof=1)}
    rows = [[each.run, *map(percent, scores)] for each, scores in zip(results, values, strict=True)]
    rows += [[name, *map(percent, scores)] for name, scores in summary.items()]
    title = f"{len(results)} seeds, split {results[0].split}, averages over the emotions (%)"
    print_table(["run", *SCORES], rows, title, list(summary), console)
