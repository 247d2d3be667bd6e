"""A benchmark as tables and files."""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

from mme2e.atomic import replacing
from mme2e.benchmarking.plot import plot_benchmark
from mme2e.benchmarking.result import AS_TRAINED, FE2E_NAME, THIS_RUN, Account, BenchmarkResult, PartAccount
from mme2e.errors import UserError
from mme2e.evaluation.tables import UNDEFINED, markdown_table, percent
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
        account = result.typical(device)
        heads, rows = _parts(result, account)
        yield Table(title=_part_title(account), heads=heads, rows=rows, summary=["all"])
    yield from _about(result)


def write_benchmark(result: BenchmarkResult, out: Path) -> None:
    """Writes benchmark_SPLIT.json, .csv, .md and .png: all of them are made before the first is written.

    Args:
        result: What to write.
        out: Folder, made when it does not exist.

    Raises:
        UserError: The folder cannot be written.
    """
    contents = {
        "json": result.to_json().encode(),
        "csv": to_csv(result).encode(),
        "md": to_markdown(result).encode(),
        "png": plot_benchmark(result),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for kind, content in contents.items():
            with replacing(out / f"benchmark_{result.split}.{kind}") as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise UserError(f"cannot write the benchmark into {out}: {error.strerror or error}") from error


def to_markdown(result: BenchmarkResult) -> str:
    """The curve of each device, and the parts at every p."""
    blocks = [f"# What {result.run} costs", "\n".join(f"- {line}" for line in _about(result))]
    for device in result.devices:
        blocks.append(f"## {_title(result, device)}")
        blocks.append(markdown_table(*_curve(result, device)))
        for account in result.on(device):
            blocks.append(f"### {_part_title(account)}")
            blocks.append(markdown_table(*_parts(result, account)))
    return "\n\n".join(blocks) + "\n"


def to_csv(result: BenchmarkResult) -> str:
    """A row for each network, device and p; scores are in [0, 1], what does not exist is empty."""
    stages = [part.name for part in result.accounts[0].parts if part.density is not None]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    costs = ["gflops", "gflops_of_fe2e", "paper_gflops_of_fe2e", "ms", "ms_lowest", "ms_highest", "ms_of_fe2e"]
    densities = [f"density_{stage.replace(' ', '_')}" for stage in stages]
    writer.writerow(["device", "setting", "top_p", "macro_f1", "weighted_accuracy", "auc", *costs, *densities])
    for device in result.devices:
        for account in _accounts(result, device):
            density = {part.name: part.density for part in account.parts}
            ms = (account.ms, 1000 * account.seconds.lowest, 1000 * account.seconds.highest)
            gflops_share, seconds_share = result.shares(account)
            values = [
                account.top_p,
                *_scores(result, account),
                account.gflops,
                gflops_share,
                published_share(account.top_p),
                *ms,
                seconds_share,
                *(density.get(stage) for stage in stages),
            ]
            writer.writerow([device, account.name, *("" if _missing(value) else f"{value:.6g}" for value in values)])
    return file.getvalue()


def _accounts(result: BenchmarkResult, device: str) -> tuple[Account, ...]:
    """The run's, and FE2E's where it is another network."""
    fe2e = result.fe2e_on(device)
    return (*result.on(device), *([fe2e] if fe2e.name == FE2E_NAME else []))


def _scores(result: BenchmarkResult, account: Account) -> tuple[float, float, float]:
    score = result.score_of(account.name)
    return (math.nan,) * 3 if score is None else (score.f1, score.weighted_accuracy, score.auc)


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


_Table = tuple[list[str], list[list[str]]]


def _of_interest(result: BenchmarkResult, heads: list[str], rows: list[list[str]]) -> _Table:
    if result.against_name != THIS_RUN:
        return heads, rows
    kept = [index for index, head in enumerate(heads) if head not in _COMPARING]
    return [heads[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _curve(result: BenchmarkResult, device: str) -> _Table:
    rows = []
    for account in _accounts(result, device):
        gflops_share, seconds_share = result.shares(account)
        paper = published_share(account.top_p)
        low, high = 1000 * account.seconds.lowest, 1000 * account.seconds.highest
        rows.append(
            [
                account.name,
                *(percent(score) for score in _scores(result, account)),
                _short(account.gflops),
                f"{100 * gflops_share:.0f}",
                UNDEFINED if paper is None else f"{100 * paper:.0f}",
                _short(account.ms),
                f"{_short(low)}-{_short(high)}",
                f"{100 * seconds_share:.0f}",
            ]
        )
    return _of_interest(result, _CURVE_HEADS, rows)


def _parts(result: BenchmarkResult, account: Account) -> _Table:
    fe2e = result.fe2e_on(account.device)
    theirs = {part.name: part for part in fe2e.parts}
    rows = [_part_row(part, theirs.get(part.name)) for part in account.parts]
    selecting = [part.selecting_s for part in account.parts if part.selecting_s is not None]
    total = ["all", "", "", _short(account.gflops), _short(fe2e.gflops), _short(account.ms), _short(fe2e.ms)]
    rows.append([*total, _short(1000 * sum(selecting)) if selecting else ""])
    return _of_interest(result, _PART_HEADS, rows)


def _part_row(part: PartAccount, other: PartAccount | None) -> list[str]:
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


def _part_title(account: Account) -> str:
    setting = account.name if account.name in (AS_TRAINED, THIS_RUN) else f"p = {account.name}"
    return f"parts, {setting}, {account.device}"


def _about(result: BenchmarkResult) -> list[str]:
    load = result.load
    anew = ", at each p anew" if result.trained_top_p and result.scores[0].thresholds is not None else ""
    lines = [
        f"scores: % of the whole split; {result.thresholds_from}{anew}; chance F1 {percent(result.chance_f1)}",
        "GFLOPs: billions of multiply-adds an utterance, in products and convolutions, counted as they are executed",
        f"ms: an utterance forward, median of {load.rounds} rounds in turns",
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
    unseen = [account for account in result.accounts if account.unseen]
    if unseen:
        share = max(account.unseen / account.multiply_adds for account in unseen)
        lines.append(f"up to {percent(share)} % of the operations on {unseen[0].device} are in kernels of our own")
    return lines
