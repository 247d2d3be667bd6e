"""The mean over the runs of several seeds."""

import math
from collections.abc import Sequence

from rich.console import Console

from mme2e.evaluation.metrics import average
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import number, print_table

SCORES = {"F1": "f1", "WAcc": "weighted_accuracy", "AUC": "auc", "AP": "average_precision", "Acc": "accuracy"}


def print_mean(results: Sequence[Evaluation], console: Console | None = None) -> None:
    """Prints the scores of each run, averaged over emotions, with their mean and standard deviation.

    Args:
        results: At least two runs of one split.
        console: Where; standard output when None.
    """
    values = {each.run: [_percent(each, name) for name in SCORES.values()] for each in results}
    columns = list(zip(*values.values(), strict=True))
    means = [sum(column) / len(column) for column in columns]
    deviations = [
        math.sqrt(sum((value - mean) ** 2 for value in column) / (len(column) - 1))
        for column, mean in zip(columns, means, strict=True)
    ]
    rows = [[name, *(_told(value) for value in scores)] for name, scores in values.items()]
    rows.append(["mean", *(_told(mean) for mean in means)])
    rows.append(["standard deviation", *(_told(deviation) for deviation in deviations)])
    title = f"{len(results)} seeds, split {results[0].split}, averages over the emotions in percent"
    print_table(["run", *SCORES], rows, title, ["mean", "standard deviation"], console)


def _percent(evaluation: Evaluation, name: str) -> float:
    return 100 * average(getattr(evaluation.scores, name)).value


def _told(percent: float) -> str:
    return number(percent, "{:.1f}")
