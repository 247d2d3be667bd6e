"""Scores by modalities as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mme2e.atomic import replacing
from mme2e.evaluation.plots import BAR_WIDTH, CHANCE_COLOUR, F1_COLOUR, WEIGHTED_ACCURACY_COLOUR
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import UNDEFINED
from mme2e.scores.metrics import average


def plot_subsets(evaluations: Mapping[str, Evaluation], title: str, path: Path) -> None:
    """Writes a PNG: mean F1 and weighted accuracy with each set of modalities, beside chance.

    Args:
        evaluations: By modalities.
        title: Above.
        path: PNG file.
    """
    figure = Figure(figsize=(max(6.5, 2 + 0.9 * len(evaluations)), 4.2), layout="constrained", dpi=130)
    axes = figure.subplots()
    positions = np.arange(len(evaluations))
    bars = (("F1", "f1", F1_COLOUR, -0.5), ("weighted accuracy", "weighted_accuracy", WEIGHTED_ACCURACY_COLOUR, 0.5))
    half = 0.46 * BAR_WIDTH
    for name, field, colour, side in bars:
        centres = positions + side * BAR_WIDTH
        heights = np.array([100 * average(getattr(each.scores, field)).value for each in evaluations.values()])
        drawn = axes.bar(centres, np.nan_to_num(heights), BAR_WIDTH, color=colour, label=name)
        axes.bar_label(drawn, [UNDEFINED if np.isnan(height) else f"{height:.0f}" for height in heights], fontsize=8)
        chances = [getattr(each.chance, field) for each in evaluations.values()]
        marks = [100 * (average(chance).value if isinstance(chance, np.ndarray) else chance) for chance in chances]
        label = "chance" if field == "f1" else "_unlisted"
        axes.hlines(marks, centres - half, centres + half, CHANCE_COLOUR, linewidth=2, label=label)
    axes.set_xticks(positions, [f"{name.upper()}\n{each.utterances} utt." for name, each in evaluations.items()])
    axes.set_ylim(0, 106)
    axes.set_ylabel("mean over emotions, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
