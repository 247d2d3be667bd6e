"""What an experiment found, as text: the parts that all its forms share, and Markdown."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mme2e.config.experiment import ExperimentSettings, Protocol
from mme2e.evaluation.tables import COLUMNS, UNDEFINED, Grid, markdown_list, markdown_table, number, percent
from mme2e.experiments.rows import AVERAGE, Cell, Comparison, Drawn, Summary
from mme2e.report import Part, Table
from mme2e.scores.published import SOURCE, TABLES, UTTERANCES, published_gflops

HEADS = {field: head for head, field in COLUMNS.items()} | {"weighted_f1": "weighted F1"}
"""Of the metrics."""

SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What must be known of a corpus to read scores on it.

    Attributes:
        corpus: Name and fingerprint.
        split_protocol: How it was split.
        shared: What test and training share, in words.
        test_utterances: Of the test split.
    """

    corpus: str
    split_protocol: str
    shared: str
    test_utterances: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """An experiment that was run, in whole or in part.

    Attributes:
        settings: Of the experiment.
        summary: Its numbers.
        facts: Of the corpora of each protocol.
        operations: Multiply-adds an utterance by variant, where they were counted.
        planned: Number of runs.
        done: Number of those that are done.
        failures: What became of others, a line each.
    """

    settings: ExperimentSettings
    summary: Summary
    facts: Mapping[str, Sequence[CorpusFacts]]
    operations: Mapping[str, float]
    planned: int
    done: int
    failures: Sequence[str]

    def describe(self, protocol: Protocol) -> list[str]:
        """Lines that belong under the tables of a protocol."""
        lines = []
        for number_of_fold, facts in enumerate(self.facts[protocol.name], 1):
            fold = f"fold {number_of_fold}: " if len(protocol.folds) > 1 else ""
            lines.append(
                f"{fold}corpus {facts.corpus}, {facts.test_utterances} test utterances; "
                f"split: {facts.split_protocol}; {facts.shared}"
            )
        drawn = self.summary.drawn.get(protocol.name)
        if drawn is not None:
            lines.append(f"95 %: bootstrap over {self.resampled(drawn)}")
            if drawn.unknown:
                unit = self.settings.bootstrap.unit
                lines.append(
                    f"utterances were drawn and the intervals may be too narrow: these predictions of an older version "
                    f"carry no {unit}; evaluate the runs again"
                )
            elif drawn.count < 2:
                lines.append(f"a single {drawn.unit} leaves nothing to draw: there is no interval and no p")
        published = self.settings.published
        if published is not None:
            table = TABLES[published.table]
            paper = UTTERANCES[table.corpus]["test"]
            mine = sum(facts.test_utterances for facts in self.facts[protocol.name])
            lines.append(f"paper: {table.title}; its test split has {paper} utterances, this one {mine}")
        return lines

    def notes(self) -> list[str]:
        """How the numbers are meant."""
        settings = self.settings
        seeds = len(settings.seeds)
        lines = [
            f"mean ± std: over {seeds} seeds (n - 1)" if seeds > 1 else "one seed: there is no standard deviation",
            f"95 %: bootstrap of that mean ({settings.bootstrap.draws} resamples, seed {settings.bootstrap.seed}); "
            "recordings and speakers are drawn with all of their utterances; thresholds stay as they are",
            "thresholds come from the validation split",
        ]
        if settings.baseline is not None:
            count = sum(not math.isnan(each.p) for each in self.summary.comparisons)
            lines.append(
                f"difference, p: from {settings.baseline}, paired bootstrap on the same resamples, two-sided; "
                f"p (Holm) is corrected for all {count} comparisons of this experiment"
            )
        if self.done < self.planned:
            lines.append(f"INCOMPLETE: {self.done} of {self.planned} runs are done")
        return [*lines, *(f"failed: {failure}" for failure in self.failures)]

    def resampled(self, drawn: Drawn) -> str:
        """What the bootstrap draws, for people."""
        seeds = len(self.settings.seeds)
        return f"{drawn} and {seeds} seeds" if self.settings.bootstrap.seeds and seeds > 1 else str(drawn)


def main_table(report: Report, protocol: str, metric: str) -> Grid:
    """Heads and rows: a row a variant, of the average over emotions."""
    compared = report.settings.baseline is not None
    paper = _has_published(report, protocol, metric)
    heads = ["", "runs", HEADS[metric], "95 %"]
    heads += ["difference", "95 % of it", "p", "p (Holm)"] if compared else []
    rows = []
    for variant in report.settings.variants:
        cell = report.summary.cell(protocol, variant.name, metric)
        row = [variant.name, *_score_cells(cell)]
        if compared:
            row += _comparison_cells(report.summary.comparison(protocol, variant.name, metric))
        rows.append(row + ([percent(math.nan if cell is None else cell.published)] if paper else []))
    any_cell = next((c for c in report.summary.cells if (c.protocol, c.metric) == (protocol, metric)), None)
    if any_cell is not None and not math.isnan(any_cell.chance):
        rows.append(["chance", "", percent(any_cell.chance), *[""] * (len(heads) - 3 + paper)])
    return heads + (["paper"] if paper else []), rows


def narrow_table(report: Report, protocol: str, metric: str) -> Grid:
    """The main table without what a terminal has no room for."""
    heads, rows = main_table(report, protocol, metric)
    kept = [index for index, head in enumerate(heads) if head not in ("runs", "95 % of it", "p")]
    names = {"difference": "diff."}
    return [names.get(heads[index], heads[index]) for index in kept], [[row[index] for index in kept] for row in rows]


def emotion_table(report: Report, protocol: str, metric: str) -> Grid:
    """Heads and rows: a row a variant, under it the paper's, of each emotion and the average."""
    emotions = [*report.summary.label_names[protocol], AVERAGE]
    rows = []
    for variant in report.settings.variants:
        cells = [report.summary.cell(protocol, variant.name, metric, emotion) for emotion in emotions]
        rows.append([variant.name, *(percent(math.nan if cell is None else cell.mean) for cell in cells)])
        published = [math.nan if cell is None else cell.published for cell in cells]
        if not all(math.isnan(score) for score in published):
            assert report.settings.published is not None
            name = report.settings.published.rows[variant.name]
            rows.append([f"{name} ({SOURCE})", *(percent(score) for score in published)])
    return ["", *emotions], rows


def operations_table(report: Report) -> Grid:
    """Heads and rows: operations an utterance beside the paper's, where they were counted."""
    variants = [variant for variant in report.settings.variants if variant.name in report.operations]
    whole = next((report.operations[v.name] for v in variants if v.settings.model.name == "fe2e"), math.nan)
    paper_whole = published_gflops("fe2e", 1.0) or math.nan
    rows = []
    for variant in variants:
        mine = report.operations[variant.name]
        model = variant.settings.model
        paper = published_gflops(model.name, model.top_p) or math.nan
        rows.append(
            [
                variant.name,
                number(mine / 1e9, "{:.3f}"),
                percent(mine / whole),
                number(paper, "{:.2f}"),
                percent(paper / paper_whole),
            ]
        )
    return ["", "10^9 multiply-adds", "% of FE2E", "paper GFLOPs", "paper % of FE2E"], rows


def to_markdown(report: Report) -> str:
    """All tables and what must be known to read them."""
    settings = report.settings
    parts = [f"# {settings.name}"]
    if settings.about:
        parts.append(" ".join(settings.about.split()))
    for protocol in settings.protocols:
        if protocol.name not in report.summary.label_names:
            parts.append(f"## {protocol.name}\n\nNo run is done.")
            continue
        parts.append(f"## {protocol.name}")
        parts.append(markdown_list(report.describe(protocol)))
        for metric in settings.metrics:
            parts.append(f"### {HEADS[metric]}, average over emotions (%)")
            parts.append(markdown_table(*main_table(report, protocol.name, metric)))
        for metric in settings.metrics:
            parts.append(f"### {HEADS[metric]} of each emotion (%)")
            parts.append(markdown_table(*emotion_table(report, protocol.name, metric)))
    if report.operations:
        parts += ["## Operations an utterance", markdown_table(*operations_table(report))]
    parts += ["## How to read this", markdown_list(report.notes())]
    return "\n\n".join(parts) + "\n"


def _has_published(report: Report, protocol: str, metric: str) -> bool:
    cells = [c for c in report.summary.cells if (c.protocol, c.metric, c.emotion) == (protocol, metric, AVERAGE)]
    return any(not math.isnan(cell.published) for cell in cells)


def _score_cells(cell: Cell | None) -> list[str]:
    if cell is None:
        return ["0", UNDEFINED, UNDEFINED]
    spread = "" if math.isnan(cell.std) else f" ± {percent(cell.std)}"
    return [str(cell.runs), f"{percent(cell.mean)}{spread}", interval_text(cell.low, cell.high)]


def interval_text(low: float, high: float, sign: bool = False) -> str:
    """An interval in percent."""
    form = "{:+.1f}" if sign else "{:.1f}"
    return UNDEFINED if math.isnan(low) else f"{number(100 * low, form)} to {number(100 * high, form)}"


def _comparison_cells(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["", "", "", ""]
    mark = " *" if comparison.p_holm < SIGNIFICANT else ""
    return [
        number(100 * comparison.difference, "{:+.1f}"),
        interval_text(comparison.low, comparison.high, sign=True),
        number(comparison.p, "{:.3f}"),
        number(comparison.p_holm, "{:.3f}") + mark,
    ]


def report_parts(report: Report) -> Iterator[Part]:
    """The tables of an experiment and how they are meant, for the screen."""
    settings = report.settings
    for protocol in settings.protocols:
        if protocol.name not in report.summary.label_names:
            continue
        for metric in settings.metrics:
            heads, rows = narrow_table(report, protocol.name, metric)
            title = f"{settings.name}, {protocol.name}: {HEADS[metric]}, average over emotions (%)"
            yield Table(title=title, heads=heads, rows=rows, summary=["chance"])
        yield from report.describe(protocol)
    yield from report.notes()
