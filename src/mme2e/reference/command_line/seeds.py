"""The mean over the runs of several seeds."""

from collections.abc import Sequence

import numpy as np

from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import percent
from mme2e.report import Table
from mme2e.scores.metrics import average

SCORES = {"F1": "f1", "WAcc": "weighted_accuracy", "AUC": "auc", "AP": "average_precision", "Acc": "accuracy"}


def mean_of_seeds(results: Sequence[Evaluation]) -> Table:
    """The scores of each run, averaged over emotions, with their mean and standard deviation.

    Args:
        results: At least two runs of one split.
    """
    values = np.array(
        [[average(getattr(each.scores, name)).value for name in SCORES.values()] for each in results], dtype=np.float64
    )
    # Of a sample: divided by one less than there are.
    summary = {"mean": values.mean(axis=0), "standard deviation": values.std(axis=0, ddof=1)}
    rows = [[each.run, *map(percent, scores)] for each, scores in zip(results, values, strict=True)]
    rows += [[name, *map(percent, scores)] for name, scores in summary.items()]
    title = f"{len(results)} seeds, split {results[0].split}, averages over the emotions (%)"
    return Table(title=title, heads=["run", *SCORES], rows=rows, summary=list(summary))
