"""A search as figures: its history, and which settings matter."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mme2e.atomic import replacing
from mme2e.tuning.result import SearchResult

HISTORY_FILE = "history.png"
IMPORTANCES_FILE = "importances.png"
COLOURS = {"complete": "#2a6fbb", "pruned": "#b0b0b0"}
BEST_COLOUR = "#c0392b"


def plot_search(result: SearchResult, out: Path) -> None:
    """Writes `history.png` and, where it can be computed, `importances.png`.

    Args:
        result: A search with one complete trial or more; nothing is drawn of one without.
        out: Folder.
    """
    if result.best is None:
        return
    _save(_history(result), out / HISTORY_FILE)
    if result.importances:
        _save(_importances(result), out / IMPORTANCES_FILE)


def _history(result: SearchResult) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=130)
    axes = figure.subplots()
    lowest = result.settings.objective == "valid_loss"
    for state, colour in COLOURS.items():
        found = [(t.number, t.value) for t in result.trials if t.state == state and t.value is not None]
        if found:
            name = "complete" if state == "complete" else "given up early"
            axes.scatter(*np.array(found, dtype=float).T, color=colour, label=name, zorder=2)
    complete = [trial for trial in result.trials if trial.state == "complete"]
    values = np.array([trial.value for trial in complete], dtype=float)
    best = (np.minimum if lowest else np.maximum).accumulate(values)
    axes.step([t.number for t in complete], best, where="post", color=BEST_COLOUR, label="best so far", zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(result.settings.objective)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(f"{len(result.trials)} trials on the validation split", fontsize=11)
    return figure


def _importances(result: SearchResult) -> Figure:
    names, shares = list(result.importances), [100 * share for share in result.importances.values()]
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(names)), layout="constrained", dpi=130)
    axes = figure.subplots()
    bars = axes.barh(names, shares, color=COLOURS["complete"])
    axes.bar_label(bars, [f"{share:.0f} %" for share in shares], padding=3, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 25))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"% of the variance of {result.settings.objective} (fANOVA)")
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
