"""How right a model is when it may abstain, as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mme2e.atomic import replacing
from mme2e.config import MODALITY_NAMES
from mme2e.starter.card import named
from mme2e.starter.validation import DECIDED_SHARE, Covered


def plot_curves(curves: Mapping[str, Sequence[Covered]], level: float, path: Path) -> None:
    """Draws accuracy by coverage, of every set of modalities and of the pooled single ones.

    Args:
        curves: By letters of the modalities, or another name.
        level: Probability below which the model abstains.
        path: PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained", dpi=130)
    axes = figure.subplots()
    for name, points in curves.items():
        single = len(name) == 1
        label = named(name) if set(name) <= set(MODALITY_NAMES) else name
        style = {"linewidth": 2.0} if single else {"linestyle": "--", "linewidth": 1.2}
        axes.plot([100 * p.coverage for p in points], [100 * p.accuracy for p in points], label=label, **style)
    axes.axvline(100 * DECIDED_SHARE, color="#888888", linewidth=0.8)
    axes.set_xlabel(f"decided utterances in %, the most probable first (line: those from {level:.3f} on)")
    axes.set_ylabel("right among them, in %")
    axes.invert_xaxis()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
