"""The scores of an experiment as a figure."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mme2e.atomic import replacing
from mme2e.config.experiment import Variant
from mme2e.errors import UserError
from mme2e.experiments.report import HEADS, Report
from mme2e.experiments.rows import AVERAGE

MEAN_COLOUR, SEED_COLOUR, PAPER_COLOUR, CHANCE_COLOUR = "#2a6fbb", "#7f8c8d", "#e08214", "#c0392b"


def plot_experiment(report: Report, path: Path) -> None:
    """Writes a PNG: a row a protocol, a panel a metric, of averages over emotions.

    A dot with a bar is the mean with its interval, small dots are single runs, a diamond is the paper's number, the
    dashed line is chance. With `along` the setting is on the horizontal axis, else each variant has a line of its own.

    Args:
        report: What to draw; at least one run is done.
        path: PNG file.
    """
    settings = report.settings
    protocols = [each.name for each in settings.protocols if each.name in report.summary.label_names]
    rows, columns = len(protocols), len(settings.metrics)
    height = 3.4 if settings.along else 1.1 + 0.36 * len(settings.variants)
    figure = Figure(figsize=(1.8 + 3.1 * columns, 0.9 + height * rows), layout="constrained", dpi=130)
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, protocol in zip(grid, protocols, strict=True):
        for axes, metric in zip(row, settings.metrics, strict=True):
            if settings.along:
                _draw_along(axes, report, protocol, metric)
            else:
                _draw_rows(axes, report, protocol, metric, named=axes is row[0])
            axes.set_title(HEADS[metric] + (f" ({protocol})" if rows > 1 else ""), fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(f"{settings.name}: average over emotions, %", fontsize=11, parse_math=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def value_of(variant: Variant, key: str) -> float:
    """A setting of a variant as a number, for the horizontal axis.

    Raises:
        UserError: There is no such setting, or it is no number.
    """
    value: object = variant.settings
    for name in key.split("."):
        value = getattr(value, name, None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"along: {key} of variant '{variant.name}' must be a number, not {value!r}")
    return float(value)


def _draw_rows(axes: Axes, report: Report, protocol: str, metric: str, *, named: bool) -> None:
    variants = report.settings.variants
    for position, variant in enumerate(variants):
        seeds = _runs(report, protocol, variant.name, metric)
        axes.plot(seeds, [position + 0.22] * len(seeds), ".", color=SEED_COLOUR, markersize=4)
        cell = report.summary.cell(protocol, variant.name, metric)
        if cell is None or math.isnan(cell.mean):
            continue
        axes.plot([100 * cell.low, 100 * cell.high], [position] * 2, color=MEAN_COLOUR, linewidth=2)
        axes.plot(100 * cell.mean, position, "o", color=MEAN_COLOUR, markersize=6)
        axes.annotate(
            f"{100 * cell.mean:.1f}", (100 * cell.mean, position), (0, 5), textcoords="offset points", ha="center",
            fontsize=7.5,
        )  # fmt: skip
        if not math.isnan(cell.published):
            axes.plot(100 * cell.published, position, "D", color=PAPER_COLOUR, markersize=6, fillstyle="none")
    _draw_chance(axes.axvline, report, protocol, metric)
    _add_legend_entries(axes, report)
    axes.set_yticks(range(len(variants)), [variant.name for variant in variants] if named else [])
    axes.set_ylim(len(variants) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.grid(axis="x", linewidth=0.4)


def _draw_along(axes: Axes, report: Report, protocol: str, metric: str) -> None:
    settings = report.settings
    assert settings.along is not None
    baseline = settings.baseline
    others = [variant for variant in settings.variants if variant.name != baseline]
    shown = []
    for variant in sorted(others, key=lambda each: value_of(each, settings.along or "")):
        place = value_of(variant, settings.along)
        seeds = _runs(report, protocol, variant.name, metric)
        axes.plot([place] * len(seeds), seeds, ".", color=SEED_COLOUR, markersize=4)
        cell = report.summary.cell(protocol, variant.name, metric)
        if cell is None or math.isnan(cell.mean):
            continue
        shown.append((place, 100 * cell.mean))
        axes.plot([place] * 2, [100 * cell.low, 100 * cell.high], color=MEAN_COLOUR, linewidth=2)
        if not math.isnan(cell.published):
            axes.plot(place, 100 * cell.published, "D", color=PAPER_COLOUR, markersize=6, fillstyle="none")
    if shown:
        axes.plot(*zip(*shown, strict=True), "o-", color=MEAN_COLOUR, markersize=6, linewidth=1)
    whole = None if baseline is None else report.summary.cell(protocol, baseline, metric)
    if whole is not None and not math.isnan(whole.mean):
        axes.axhline(100 * whole.mean, color="black", linewidth=1, label=str(baseline))
        axes.axhspan(100 * whole.low, 100 * whole.high, color="black", alpha=0.07)
    _draw_chance(axes.axhline, report, protocol, metric)
    _add_legend_entries(axes, report)
    axes.set_xlabel(settings.along)
    axes.grid(axis="y", linewidth=0.4)


def _runs(report: Report, protocol: str, variant: str, metric: str) -> list[float]:
    wanted = (protocol, variant, metric, AVERAGE)
    scores = report.summary.scores
    return [100 * s.value for s in scores if (s.protocol, s.variant, s.metric, s.emotion) == wanted]


def _draw_chance(line: object, report: Report, protocol: str, metric: str) -> None:
    cells: Sequence[float] = [
        cell.chance
        for cell in report.summary.cells
        if (cell.protocol, cell.metric, cell.emotion) == (protocol, metric, AVERAGE)
    ]
    if cells and not math.isnan(cells[0]):
        line(100 * cells[0], color=CHANCE_COLOUR, linestyle="--", linewidth=1, label="chance")  # type: ignore[operator]


def _add_legend_entries(axes: Axes, report: Report) -> None:
    axes.plot([], [], "o-", color=MEAN_COLOUR, label="mean, 95 % interval")
    axes.plot([], [], ".", color=SEED_COLOUR, label="single runs")
    if report.settings.published is not None:
        axes.plot([], [], "D", color=PAPER_COLOUR, fillstyle="none", label="paper")
