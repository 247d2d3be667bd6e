"""Evaluations as figures: scores beside chance, what is taken for what, reliability, scores by modalities."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mme2e.evaluation.report_files import png
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import UNDEFINED, evaluation_title
from mme2e.scores.calibration import Reliability
from mme2e.scores.metrics import average

_F1_COLOUR, _WEIGHTED_ACCURACY_COLOUR, _CHANCE_COLOUR = "#2a6fbb", "#9dc3e6", "#c0392b"
_BAR_WIDTH = 0.38
_BEFORE_COLOUR, _AFTER_COLOUR, _PERFECT_COLOUR = "#e08a1e", "#2a6fbb", "#999999"
_PANELS_A_ROW = 4
_LARGEST_DOT = 160.0
"""Area of the dot of a bin that holds all utterances, in square points."""


def plot_evaluation(evaluation: Evaluation) -> bytes:
    """A PNG: F1 and weighted accuracy of each emotion beside chance; for single-label corpora also the
    confusion matrix.

    Args:
        evaluation: What to draw.
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
    return png(figure)


def _draw_bars(axes: Axes, evaluation: Evaluation) -> None:
    scores = evaluation.scores
    positions = np.arange(len(evaluation.label_names) + 1)
    groups = (
        ("F1", scores.f1, evaluation.chance.f1, _F1_COLOUR, -_BAR_WIDTH / 2),
        (
            "weighted accuracy",
            scores.weighted_accuracy,
            np.where(np.isnan(scores.weighted_accuracy), np.nan, evaluation.chance.weighted_accuracy),
            _WEIGHTED_ACCURACY_COLOUR,
            _BAR_WIDTH / 2,
        ),
    )
    for name, values, chance, colour, shift in groups:
        heights = 100 * np.append(values, average(values).value)
        marks = 100 * np.append(chance, average(chance).value)
        label = f"chance (F1: {evaluation.chance.rule})" if name == "F1" else "_unlisted"
        _bars_beside_chance(axes, positions + shift, heights, marks, colour, (name, label))
    axes.axvline(positions[-1] - 0.5, color="grey", linewidth=0.8)
    axes.set_xticks(positions, [*evaluation.label_names, "average"], rotation=30, ha="right", rotation_mode="anchor")
    axes.set_ylim(0, 106)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("%")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False, fontsize=8)


def _bars_beside_chance(
    axes: Axes,
    centres: np.ndarray,
    heights: np.ndarray,
    marks: Sequence[float] | np.ndarray,
    colour: str,
    labels: tuple[str, str],
) -> None:
    """Bars in percent, a dash where one is undefined, and a mark on each at chance; labels of bars and marks."""
    bars = axes.bar(centres, np.nan_to_num(heights), _BAR_WIDTH, color=colour, label=labels[0])
    axes.bar_label(bars, [UNDEFINED if np.isnan(height) else f"{height:.0f}" for height in heights], fontsize=8)
    half = 0.46 * _BAR_WIDTH
    axes.hlines(marks, centres - half, centres + half, _CHANCE_COLOUR, linewidth=2, label=labels[1])


def draw_counts(axes: Axes, counts: np.ndarray, totals: np.ndarray, names: tuple[str, ...]) -> None:
    """Draws a map of counts; the shade of a cell is its share of the row's total.

    Args:
        axes: Where.
        counts: (emotions, emotions).
        totals: (emotions,) of the rows; a row without any is white.
        names: Of the emotions.
    """
    shares = 100 * np.divide(counts, totals[:, None], out=np.zeros(counts.shape), where=totals[:, None] > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 55 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)


def _draw_confusion(axes: Axes, confusion: np.ndarray, names: tuple[str, ...]) -> None:
    draw_counts(axes, confusion, confusion.sum(axis=1), names)
    axes.set_xlabel("most probable emotion")
    axes.set_ylabel("true emotion")
    axes.set_title("utterances; shade: share of the row", fontsize=8)


def plot_reliability(evaluation: Evaluation) -> bytes:
    """A PNG with a panel an emotion; the area of a dot is the share of the utterances in its bin.

    Args:
        evaluation: With calibration.
    """
    calibration = evaluation.calibration
    assert calibration is not None
    names = evaluation.label_names
    columns = min(_PANELS_A_ROW, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(max(2.9 * columns, 6.5), 3.0 * rows + 1.1), layout="constrained", dpi=120)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for index, (axes, name) in enumerate(zip(panels, names, strict=False)):
        axes.plot([0, 100], [0, 100], color=_PERFECT_COLOUR, linewidth=1, linestyle="--", label="perfect")
        _draw_reliability(axes, calibration.before, index, _BEFORE_COLOUR, "model")
        _draw_reliability(axes, calibration.after, index, _AFTER_COLOUR, "with temperature")
        errors = [f"{100 * part.expected_error[index]:.1f}" for part in (calibration.before, calibration.after)]
        temperature = calibration.temperatures[index]
        temperature_text = "no temperature" if math.isnan(temperature) else f"T = {temperature:.2f}"
        axes.set_title(f"{name}\n{temperature_text}, error {errors[0]} \N{RIGHTWARDS ARROW} {errors[1]} %", fontsize=9)
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.25)
        if index >= len(names) - columns:
            axes.set_xlabel("predicted, %")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.supylabel("utterances that have the emotion, %", fontsize=10)
    means = [f"{100 * average(part.expected_error).value:.1f}" for part in (calibration.before, calibration.after)]
    title = evaluation_title(evaluation).removesuffix(" (%)")
    figure.suptitle(f"{title}\nmean calibration error {means[0]} \N{RIGHTWARDS ARROW} {means[1]} %", fontsize=11)
    return png(figure)


def _draw_reliability(axes: Axes, found: Reliability, emotion: int, colour: str, label: str) -> None:
    counts = found.counts[:, emotion]
    filled = counts > 0
    predicted, observed = 100 * found.predicted[filled, emotion], 100 * found.observed[filled, emotion]
    axes.plot(predicted, observed, color=colour, linewidth=1.2, label=label, marker="o", markersize=2.5)
    axes.scatter(predicted, observed, _LARGEST_DOT * counts[filled] / np.sum(counts), color=colour, alpha=0.6)


def plot_subsets(evaluations: Mapping[str, Evaluation], title: str) -> bytes:
    """A PNG: mean F1 and weighted accuracy with each set of modalities, beside chance.

    Args:
        evaluations: By modalities.
        title: Above.
    """
    figure = Figure(figsize=(max(6.5, 2 + 0.9 * len(evaluations)), 4.2), layout="constrained", dpi=130)
    axes = figure.subplots()
    positions = np.arange(len(evaluations))
    bars = (("F1", "f1", _F1_COLOUR, -0.5), ("weighted accuracy", "weighted_accuracy", _WEIGHTED_ACCURACY_COLOUR, 0.5))
    for name, field, colour, side in bars:
        centres = positions + side * _BAR_WIDTH
        heights = np.array([100 * average(getattr(each.scores, field)).value for each in evaluations.values()])
        chances = [getattr(each.chance, field) for each in evaluations.values()]
        marks = [100 * (average(chance).value if isinstance(chance, np.ndarray) else chance) for chance in chances]
        label = "chance" if field == "f1" else "_unlisted"
        _bars_beside_chance(axes, centres, heights, marks, colour, (name, label))
    axes.set_xticks(positions, [f"{name.upper()}\n{each.utterances} utt." for name, each in evaluations.items()])
    axes.set_ylim(0, 106)
    axes.set_ylabel("mean over emotions, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return png(figure)
