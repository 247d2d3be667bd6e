"""A benchmark as tables and files."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from mme2e.benchmarking.plot import plot_benchmark
from mme2e.benchmarking.result import AS_TRAINED, FE2E_NAME, THIS_RUN, BenchmarkResult, Costs, PartCosts
from mme2e.evaluation.report_files import write_report
from mme2e.evaluation.tables import UNDEFINED, Grid, markdown_list, markdown_table, percent
from mme2e.report import Part, Table
from mme2e.scores.published import FE2E_GFLOPS, SOURCE, published_share

_CURVE_HEADS = ["p", "F1", "WAcc", "AUC", "GFLOPs", "%FE2E", "paper", "ms", "min-max", "%FE2E"]
_PART_HEADS = ["part", "density", "pairs", "GFLOPs", "FE2E", "ms", "FE2E", "selecting"]
_COMPARING = {"%FE2E", "paper", "FE2E", "density", "pairs", "selecting"}
"""Columns that say nothing about an FE2E that stands alone."""


def benchmark_parts(result: BenchmarkResult) -> Iterator[Part]:
    """The curve of each device, the parts at the p of training, and what must be known to read them."""
    for device in result.devices:
        heads, rows = _curve(result, device)
        yield Table(title=_title(result, device), heads=heads, rows=rows, summary=[AS_TRAINED, FE2E_NAME])
    for device in result.devices:
        cost = result.typical(device)
        heads, rows = _parts(result, cost)
        yield Table(title=_part_title(cost), heads=heads, rows=rows, summary=["all"])
    yield from _about(result)


def write_benchmark(result: BenchmarkResult, out: Path) -> None:
    """Writes benchmark_SPLIT.json, .csv, .md and .png.

    Args:
        result: What to write.
        out: Folder, made when it does not exist.

    Raises:
        UserError: The folder cannot be written.
    """
    contents: dict[str, str | bytes] = {
        "json": result.to_json(),
        "csv": to_csv(result),
        "md": to_markdown(result),
        "png": plot_benchmark(result),
    }
    write_report(out, f"benchmark_{result.split}", contents, "benchmark")


def to_markdown(result: BenchmarkResult) -> str:
    """The curve of each device, and the parts at every p."""
    blocks = [f"# What {result.run} costs", markdown_list(_about(result))]
    for device in result.devices:
        blocks.append(f"## {_title(result, device)}")
        blocks.append(markdown_table(*_curve(result, device)))
        for cost in result.on(device):
            blocks.append(f"### {_part_title(cost)}")
            blocks.append(markdown_table(*_parts(result, cost)))
    return "\n\n".join(blocks) + "\n"


def to_csv(result: BenchmarkResult) -> str:
    """A row for each network, device and p; scores are in [0, 1], what does not exist is empty."""
    rows = [_csv_row(result, device, cost) for device in result.devices for cost in _all_costs(result, device)]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6g")


def _csv_row(result: BenchmarkResult, device: str, cost: Costs) -> dict[str, object]:
    f1, weighted_accuracy, auc = _scores(result, cost)
    gflops_share, seconds_share = result.shares(cost)
    density = {part.name: part.density for part in cost.parts}
    stages = [part.name for part in result.costs[0].parts if part.density is not None]
    return {
        "device": device,
        "setting": cost.name,
        "top_p": cost.top_p,
        "macro_f1": f1,
        "weighted_accuracy": weighted_accuracy,
        "auc": auc,
        "gflops": cost.gflops,
        "gflops_of_fe2e": gflops_share,
        "paper_gflops_of_fe2e": published_share(cost.top_p),
        "ms": cost.ms,
        "ms_lowest": 1000 * cost.seconds.lowest,
        "ms_highest": 1000 * cost.seconds.highest,
        "ms_of_fe2e": seconds_share,
        **{f"density_{stage.replace(' ', '_')}": density.get(stage) for stage in stages},
    }


def _all_costs(result: BenchmarkResult, device: str) -> tuple[Costs, ...]:
    """The run's, and FE2E's where it is another network."""
    fe2e = result.fe2e_on(device)
    return (*result.on(device), *([fe2e] if fe2e.name == FE2E_NAME else []))


def _scores(result: BenchmarkResult, cost: Costs) -> tuple[float, float, float]:
    score = result.score_of(cost.name)
    return (math.nan,) * 3 if score is None else (score.f1, score.weighted_accuracy, score.auc)


def _of_interest(result: BenchmarkResult, heads: list[str], rows: list[list[str]]) -> Grid:
    if result.against_name != THIS_RUN:
        return heads, rows
    kept = [index for index, head in enumerate(heads) if head not in _COMPARING]
    return [heads[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _curve(result: BenchmarkResult, device: str) -> Grid:
    rows = []
    for cost in _all_costs(result, device):
        gflops_share, seconds_share = result.shares(cost)
        paper = published_share(cost.top_p)
        low, high = 1000 * cost.seconds.lowest, 1000 * cost.seconds.highest
        rows.append(
            [
                cost.name,
                *(percent(score) for score in _scores(result, cost)),
                _short(cost.gflops),
                f"{100 * gflops_share:.0f}",
                UNDEFINED if paper is None else f"{100 * paper:.0f}",
                _short(cost.ms),
                f"{_short(low)}-{_short(high)}",
                f"{100 * seconds_share:.0f}",
            ]
        )
    return _of_interest(result, _CURVE_HEADS, rows)


def _parts(result: BenchmarkResult, cost: Costs) -> Grid:
    fe2e = result.fe2e_on(cost.device)
    theirs = {part.name: part for part in fe2e.parts}
    rows = [_part_row(part, theirs.get(part.name)) for part in cost.parts]
    selecting = [part.selecting_s for part in cost.parts if part.selecting_s is not None]
    total = ["all", "", "", _short(cost.gflops), _short(fe2e.gflops), _short(cost.ms), _short(fe2e.ms)]
    rows.append([*total, _short(1000 * sum(selecting)) if selecting else ""])
    return _of_interest(result, _PART_HEADS, rows)


def _part_row(part: PartCosts, other: PartCosts | None) -> list[str]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.0f}"

    return [
        part.name,
        share(part.density),
        share(part.products),
        _short(part.multiply_adds / 1e9),
        UNDEFINED if other is None else _short(other.multiply_adds / 1e9),
        _short(1000 * part.seconds.median),
        UNDEFINED if other is None else _short(1000 * other.seconds.median),
        "" if part.selecting_s is None else _short(1000 * part.selecting_s),
    ]


def _short(value: float) -> str:
    """Three digits or so, never an exponent: 312, 31.2, 3.12, 0.312, 0.003."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def _title(result: BenchmarkResult, device: str) -> str:
    corpus = result.corpus.split(" ")[0]
    return f"{result.run} on {corpus} {result.split}, {device}"


def _part_title(cost: Costs) -> str:
    setting = cost.name if cost.name in (AS_TRAINED, THIS_RUN) else f"p = {cost.name}"
    return f"parts, {setting}, {cost.device}"


def _about(result: BenchmarkResult) -> list[str]:
    load = result.load
    anew = ", chosen anew at each p" if result.trained_top_p and result.scores[0].thresholds is not None else ""
    lines = [
        f"scores: % of the whole split; {result.thresholds_from}{anew}; chance F1 {percent(result.chance_f1)}",
        "GFLOPs: billions of multiply-accumulates an utterance, of linear layers and convolutions, counted as executed",
        f"ms: an utterance forward, median of {load.rounds} interleaved rounds",
        f"measured on {load.utterances} utterances in batches of {load.batch_size}; on the mean one has "
        f"{load.face_crops:.1f} face crops, {load.mel_chunks:.1f} mel chunks and {load.tokens:.0f} tokens",
        f"machine: {result.machine}",
    ]
    if result.against_name != THIS_RUN:
        score = "" if result.against_score is not None else ": costs only, no score (--against FE2E_RUN gives one)"
        lines += [
            f"FE2E: {result.against_name}{score}",
            f"%FE2E: of FE2E's GFLOPs, of FE2E's ms; paper: the same of {SOURCE}, whose FE2E has {FE2E_GFLOPS} GFLOPs",
        ]
    if result.trained_top_p:
        lines.append(
            "density: % of its sites that a sparse stage computes; pairs: % of neighbouring sites that it multiplies; "
            "selecting: ms of the stage that go into attention and top-p"
        )
    unseen = [cost for cost in result.costs if cost.unseen]
    if unseen:
        share = max(cost.unseen / cost.multiply_adds for cost in unseen)
        lines.append(f"up to {percent(share)} % of the operations on {unseen[0].device} are in kernels of our own")
    return lines
