"""An audit as a figure: emotions, durations, modalities, and what splits share."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mme2e.auditing.result import Audit, SplitAudit
from mme2e.evaluation.plots import draw_counts
from mme2e.evaluation.report_files import png

_SPLIT_COLOURS = {"train": "#2a6fbb", "valid": "#e08a1e", "test": "#3a9a5b", "unassigned": "#8e8e8e"}
_SHARED_COLOUR = "#c0392b"
_GREY = "#666666"
_ROOM = 0.8
"""Of the distance between two groups of bars, what the bars take."""


def plot_audit(audit: Audit) -> bytes:
    """A PNG: share of each emotion by split; for multi-label corpora which emotions come together; durations;
    utterances with each modality; what test shares with train.

    Args:
        audit: What to draw.
    """
    emotions = len(audit.label_names)
    bars_width, matrix_width = 2.0 + 1.1 * emotions, 2.6 + 0.55 * emotions if audit.multi_label else 0.0
    figure = Figure(figsize=(max(11.0, bars_width + matrix_width), 8.4), layout="constrained", dpi=120)
    above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))  # type: ignore[misc]  # an array for two
    if audit.multi_label:
        left, right = above.subplots(1, 2, width_ratios=(bars_width, matrix_width))
        _draw_emotions(left, audit)
        _draw_co_occurrence(right, audit)
    else:
        _draw_emotions(above.subplots(), audit)
    for axes, draw in zip(below.subplots(1, 3), (_draw_durations, _draw_modalities, _draw_shared), strict=True):
        draw(axes, audit)
    corpus = audit.corpus.split(" ")[0]
    figure.suptitle(f"{corpus}: {audit.all.utterances} utterances, split: {audit.split_protocol}", fontsize=12)
    return png(figure)


def _draw_emotions(axes: Axes, audit: Audit) -> None:
    heads = list(audit.label_names)
    if audit.all.unlabelled:
        heads.append("no emotion")

    def shares(split: SplitAudit) -> list[float]:
        counts = [*split.positives, split.unlabelled][: len(heads)]
        return [100 * count / split.utterances for count in counts]

    filled = [split for split in audit.splits if split.utterances]
    _grouped_bars(axes, heads, filled, [shares(split) for split in filled])
    axes.set_ylabel("% of the split's utterances")
    axes.set_title("Emotions", fontsize=10)
    if filled:
        axes.legend(frameon=False, fontsize=8, ncols=len(filled))


def _grouped_bars(
    axes: Axes, heads: Sequence[str], splits: Sequence[SplitAudit], values: Sequence[Sequence[float]]
) -> None:
    width = _ROOM / max(len(splits), 1)
    positions = np.arange(len(heads))
    for index, (split, heights) in enumerate(zip(splits, values, strict=True)):
        shift = (index - (len(splits) - 1) / 2) * width
        label = f"{split.name} ({split.utterances})"
        bars = axes.bar(positions + shift, heights, width, color=_SPLIT_COLOURS[split.name], label=label)
        axes.bar_label(bars, [f"{height:.0f}" for height in heights], fontsize=7, padding=1)
    axes.set_xticks(positions, heads, rotation=20, ha="right", rotation_mode="anchor")
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_co_occurrence(axes: Axes, audit: Audit) -> None:
    counts = np.array(audit.all.co_occurrence)
    draw_counts(axes, counts, counts.diagonal(), audit.label_names)
    axes.set_title("Utterances with both (shade: share of the row's emotion)", fontsize=9)


def _draw_durations(axes: Axes, audit: Audit) -> None:
    filled = [split for split in audit.splits if split.durations is not None]
    boxes = [
        {
            "label": split.name,
            "whislo": split.durations.shortest_s,
            "q1": split.durations.lower_quartile_s,
            "med": split.durations.median_s,
            "q3": split.durations.upper_quartile_s,
            "whishi": split.durations.longest_s,
            "fliers": [],
        }
        for split in filled
        if split.durations is not None
    ]
    if boxes:
        drawn = axes.bxp(boxes, widths=0.5, patch_artist=True, medianprops={"color": "black"})
        for patch, split in zip(drawn["boxes"], filled, strict=True):
            patch.set_facecolor(_SPLIT_COLOURS[split.name])
    axes.set_ylim(0, None)
    axes.set_ylabel("s")
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Durations: shortest, quartiles, longest", fontsize=10)


def _draw_modalities(axes: Axes, audit: Audit) -> None:
    filled = [split for split in audit.splits if split.utterances]
    values = [
        [
            100 * (split.utterances - lacking) / split.utterances
            for lacking in (split.no_text, split.no_audio, split.no_face)
        ]
        for split in filled
    ]
    _grouped_bars(axes, ["text", "audio", "face"], filled, values)
    axes.set_ylim(0, 112)
    axes.set_ylabel("% of the split's utterances")
    axes.set_title("Utterances that have", fontsize=10)


def _draw_shared(axes: Axes, audit: Audit) -> None:
    found = audit.leakages[0]
    shares = [overlap.share for overlap in (found.recordings, found.speakers, found.texts)]
    bars = axes.barh(["recording", "speaker", "text"], [100 * (share or 0.0) for share in shares], color=_SHARED_COLOUR)
    labels = ["no test utterances" if share is None else f"{share:.1%}" for share in shares]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xticks(range(0, 101, 25))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("% of the test utterances", color=_GREY)
    axes.set_title("Test utterances whose ... is in training, too", fontsize=10)
