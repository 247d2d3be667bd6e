"""Reliability as a picture: what was predicted and what came true, before and after temperatures."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mme2e.atomic import replacing
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import evaluation_title
from mme2e.scores.calibration import Reliability
from mme2e.scores.metrics import average

_BEFORE_COLOUR, _AFTER_COLOUR, _PERFECT_COLOUR = "#e08a1e", "#2a6fbb", "#999999"
_PANELS_A_ROW = 4
_LARGEST_DOT = 160.0
"""Area of the dot of a bin that holds all utterances, in square points."""


def plot_reliability(evaluation: Evaluation, path: Path) -> None:
    """Writes a PNG with a panel an emotion; the area of a dot is the share of the utterances in its bin.

    Args:
        evaluation: With calibration.
        path: PNG file.
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
        _draw(axes, calibration.before, index, _BEFORE_COLOUR, "model")
        _draw(axes, calibration.after, index, _AFTER_COLOUR, "with temperature")
        errors = [f"{100 * part.expected_error[index]:.1f}" for part in (calibration.before, calibration.after)]
        temperature = calibration.temperatures[index]
        told = "no temperature" if math.isnan(temperature) else f"T = {temperature:.2f}"
        axes.set_title(f"{name}\n{told}, error {errors[0]} \N{RIGHTWARDS ARROW} {errors[1]} %", fontsize=9)
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
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: Axes, found: Reliability, emotion: int, colour: str, label: str) -> None:
    counts = found.counts[:, emotion]
    filled = counts > 0
    predicted, observed = 100 * found.predicted[filled, emotion], 100 * found.observed[filled, emotion]
    axes.plot(predicted, observed, color=colour, linewidth=1.2, label=label, marker="o", markersize=2.5)
    axes.scatter(predicted, observed, _LARGEST_DOT * counts[filled] / np.sum(counts), color=colour, alpha=0.6)
