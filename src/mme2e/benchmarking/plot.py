"""A benchmark as a figure: what p does to scores, operations and time."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mme2e.benchmarking.result import AS_TRAINED, FE2E_NAME, BenchmarkResult, Costs
from mme2e.evaluation.report_files import png
from mme2e.scores.published import FE2E_GFLOPS, MESM_GFLOPS, SOURCE

_SCORES = {"F1": "f1", "weighted accuracy": "weighted_accuracy", "AUC": "auc"}
_SCORE_COLOURS = ("#2a6fbb", "#e08a1e", "#3a9a5b")
_OURS, _PAPER, _CHANCE, _GREY = "#2a6fbb", "#8e44ad", "#c0392b", "#666666"
_DEVICE_COLOURS = ("#2a6fbb", "#3a9a5b")


def plot_benchmark(result: BenchmarkResult) -> bytes:
    """A PNG with three panels: scores, operations and milliseconds.

    Those of a MESM are over p, beside FE2E's as horizontal lines and, for operations, beside the paper's curve; those
    of an FE2E, which has no p, are bars, part by part.

    Args:
        result: What to draw.
    """
    figure = Figure(figsize=(14.5, 5.2), layout="constrained", dpi=120)
    panels = figure.subplots(1, 3)
    if result.trained_top_p:
        _draw_curves(panels, result)
    else:
        _draw_bars(panels, result)
    corpus = result.corpus.split(" ")[0]
    load = result.load
    figure.suptitle(f"{result.run}: {result.model.upper()} on {corpus} {result.split}", fontsize=12)
    about = f"Times: forward pass, median of {load.rounds} rounds, {load.utterances} utterances in batches of "
    figure.supxlabel(f"{about}{load.batch_size}. {result.machine}", fontsize=7, color=_GREY)
    return png(figure)


def _draw_curves(panels: Sequence[Axes], result: BenchmarkResult) -> None:
    for axes, draw in zip(panels, (_draw_scores, _draw_operations, _draw_milliseconds), strict=True):
        draw(axes, result)
        axes.set_xlim(0.05, 1.05)
        axes.set_xticks([tenth / 10 for tenth in range(1, 11)])
        axes.set_xlabel("p: share of the attention that each stage keeps")
        axes.grid(alpha=0.25)
        axes.spines[["top"]].set_visible(False)
        if len(set(result.trained_top_p)) == 1:
            axes.axvline(result.trained_top_p[0], color=_GREY, linewidth=0.8, linestyle=":", label="p of training")
        # Below the panel: no curve can run through it.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=8)


def _draw_bars(panels: Sequence[Axes], result: BenchmarkResult) -> None:
    scores, operations, milliseconds = panels
    values = {label: 100 * getattr(result.scores[0], field) for label, field in _SCORES.items()}
    _bars(scores, {**values, "F1 by chance": 100 * result.chance_f1}, "Score: mean over emotions, %")
    cost = result.on(result.devices[0])[0]
    gflops = {part.name: part.multiply_adds / 1e9 for part in cost.parts}
    _bars(operations, gflops, f"Operations executed: {cost.gflops:.3g} GFLOPs an utterance")
    cost = result.on(result.devices[-1])[0]
    ms = {part.name: 1000 * part.seconds.median for part in cost.parts}
    _bars(milliseconds, ms, f"Time on {cost.device}: {cost.ms:.3g} ms an utterance")


def _bars(axes: Axes, values: Mapping[str, float], title: str) -> None:
    bars = axes.barh(list(values), list(values.values()), color=_OURS)
    axes.bar_label(bars, [f"{value:.3g}" for value in values.values()], padding=2, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10)


def _draw_scores(axes: Axes, result: BenchmarkResult) -> None:
    costs = result.on(result.devices[0])
    for (label, field), colour in zip(_SCORES.items(), _SCORE_COLOURS, strict=True):

        def value(cost: Costs, field: str = field) -> float:
            return 100 * getattr(result.score_of(cost.name), field)

        _curve(axes, costs, value, colour, label)
        if result.against_score is not None:
            height = 100 * getattr(result.against_score, field)
            axes.axhline(height, color=colour, linewidth=1.2, linestyle="--", label=f"{label}, {FE2E_NAME}")
    axes.axhline(100 * result.chance_f1, color=_CHANCE, linewidth=1.2, linestyle="-.", label="F1 by chance")
    axes.set_ylim(0, 102)
    axes.set_ylabel("%")
    axes.set_title("Score: mean over emotions", fontsize=10)


def _draw_operations(axes: Axes, result: BenchmarkResult) -> None:
    for device, colour in zip(result.devices, _DEVICE_COLOURS, strict=False):
        where = f" on {device}" if len(result.devices) > 1 else ""
        _curve(axes, result.on(device), lambda cost: 100 * result.shares(cost)[0], colour, f"this run{where}")
    shares = [100 * gflops / FE2E_GFLOPS for gflops in MESM_GFLOPS.values()]
    axes.plot(
        list(MESM_GFLOPS), shares, color=_PAPER, linestyle="--", marker="s", markersize=4, label=f"paper ({SOURCE})"
    )
    axes.axhline(100, color=_GREY, linewidth=1.2, label=f"{FE2E_NAME}: 100 %")
    axes.set_ylim(0, None)
    axes.set_ylabel(f"% of {FE2E_NAME}'s operations")
    gflops = result.fe2e_on(result.devices[0]).gflops / 100
    ours = axes.secondary_yaxis("right", functions=(lambda x: x * gflops, lambda y: y / gflops))  # type: ignore[operator]
    ours.set_ylabel("GFLOPs an utterance, this run")
    axes.set_title(f"Operations executed (paper: {FE2E_GFLOPS} GFLOPs are 100 %)", fontsize=10)


def _draw_milliseconds(axes: Axes, result: BenchmarkResult) -> None:
    for device, colour in zip(result.devices, _DEVICE_COLOURS, strict=False):
        costs = result.on(device)
        _curve(axes, costs, lambda cost: cost.ms, colour, f"this run on {device}")
        curve = _on_curve(costs)
        low = [1000 * cost.seconds.lowest for _, cost in curve]
        high = [1000 * cost.seconds.highest for _, cost in curve]
        axes.fill_between([p for p, _ in curve], low, high, color=colour, alpha=0.2, linewidth=0)
        height = result.fe2e_on(device).ms
        axes.axhline(height, color=colour, linewidth=1.2, linestyle="--", label=f"{FE2E_NAME} on {device}")
    if len(result.devices) > 1:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, None)
    axes.set_ylabel("ms an utterance")
    axes.set_title("Time (shade: lowest to highest)", fontsize=10)


def _on_curve(costs: tuple[Costs, ...]) -> list[tuple[float, Costs]]:
    """Those with one p for all stages, and that p."""
    known = [(cost.top_p, cost) for cost in costs if cost.name != AS_TRAINED]
    return [(p, cost) for p, cost in known if p is not None]


def _curve(axes: Axes, costs: tuple[Costs, ...], value: Callable[[Costs], float], colour: str, label: str) -> None:
    """Over p; a star where training has given each stage its own."""
    curve = _on_curve(costs)
    heights = [value(cost) for _, cost in curve]
    axes.plot([p for p, _ in curve], heights, color=colour, marker="o", markersize=4, label=label)
    for cost in costs:
        if cost.name == AS_TRAINED and cost.top_p is not None:
            label = f"{label}, {AS_TRAINED}"
            axes.plot(cost.top_p, value(cost), color=colour, marker="*", markersize=12, linestyle="", label=label)
