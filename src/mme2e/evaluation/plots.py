"""Evaluations as a picture: scores beside chance, and what is taken for what."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mme2e.atomic import replacing
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import UNDEFINED, evaluation_title
from mme2e.scores.metrics import average

F1_COLOUR, WEIGHTED_ACCURACY_COLOUR, CHANCE_COLOUR = "#2a6fbb", "#9dc3e6", "#c0392b"
BAR_WIDTH = 0.38


def plot_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Writes a PNG: F1 and weighted accuracy of each emotion beside chance; for single-label corpora also the
    confusion matrix.

    Args:
        evaluation: What to draw.
        path: PNG file.
    """
    names = evaluation.label_names
    bars_width = 1.5 + 0.95 * (len(names) + 1)
    matrix_width = 0 if evaluation.choice is None else 1.6 + 0.52 * len(names)
    figure = Figure(figsize=(bars_width + matrix_width, 4.4), layout="constrained", dpi=130)
    if evaluation.choice is None:
        _draw_bars(figure.subplots(), evaluation)
    else:
        left, right = figure.subplots(1, 2, width_ratios=(bars_width, matrix_width))
        _draw_bars(left, evaluation)
        _draw_confusion(right, evaluation.choice.confusion, names)
    figure.suptitle(evaluation_title(evaluation), fontsize=11)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_bars(axes: Axes, evaluation: Evaluation) -> None:
    scores = evaluation.scores
    positions = np.arange(len(evaluation.label_names) + 1)
    groups = (
        ("F1", scores.f1, evaluation.chance.f1, F1_COLOUR, -BAR_WIDTH / 2),
        (
            "weighted accuracy",
            scores.weighted_accuracy,
            np.where(np.isnan(scores.weighted_accuracy), np.nan, evaluation.chance.weighted_accuracy),
            WEIGHTED_ACCURACY_COLOUR,
            BAR_WIDTH / 2,
        ),
    )
    for name, values, chance, colour, shift in groups:
        heights = 100 * np.append(values, average(values).value)
        bars = axes.bar(positions + shift, np.nan_to_num(heights), BAR_WIDTH, color=colour, label=name)
        axes.bar_label(bars, [UNDEFINED if np.isnan(height) else f"{height:.0f}" for height in heights], fontsize=8)
        marks = 100 * np.append(chance, average(chance).value)
        label = f"chance (F1: {evaluation.chance.rule})" if name == "F1" else "_unlisted"
        half = 0.46 * BAR_WIDTH
        axes.hlines(marks, positions + shift - half, positions + shift + half, CHANCE_COLOUR, linewidth=2, label=label)
    axes.axvline(positions[-1] - 0.5, color="grey", linewidth=0.8)
    axes.set_xticks(positions, [*evaluation.label_names, "average"], rotation=30, ha="right", rotation_mode="anchor")
    axes.set_ylim(0, 106)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("%")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False, fontsize=8)


def _draw_confusion(axes: Axes, confusion: np.ndarray, names: tuple[str, ...]) -> None:
    totals = confusion.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if shares[row, column] > 55 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("most probable emotion")
    axes.set_ylabel("true emotion")
    axes.set_title("utterances; shade: share of the row", fontsize=8)
