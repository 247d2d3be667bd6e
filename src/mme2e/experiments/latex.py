"""The tables of an experiment for a paper: LaTeX with booktabs."""

import math

import pandas as pd

from mme2e.config.experiment import Protocol
from mme2e.evaluation.tables import number
from mme2e.experiments.report import HEADS, SIGNIFICANT, Report
from mme2e.experiments.rows import AVERAGE
from mme2e.scores.published import SOURCE

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "\N{EN DASH}": "--",
}


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def to_latex(report: Report) -> str:
    """A table for each protocol and metric, for a paper that uses the package booktabs."""
    done = [each for each in report.settings.protocols if each.name in report.summary.label_names]
    tables = [_table(report, protocol, metric) for protocol in done for metric in report.settings.metrics]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def _table(report: Report, protocol: Protocol, metric: str) -> str:
    emotions = report.summary.label_names[protocol.name]
    heads = ["", *map(escape, emotions), "average", r"95\,\%"]
    body = pd.DataFrame(_body(report, protocol.name, metric), columns=heads)
    lines = [
        r"\begin{table}",
        r"\centering",
        body.to_latex(index=False, escape=False, column_format=f"l{'r' * len(emotions)}rc").rstrip(),
        f"\\caption{{{_caption(report, protocol, metric)}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _body(report: Report, protocol: str, metric: str) -> list[list[str]]:
    emotions = [*report.summary.label_names[protocol], AVERAGE]
    rows = []
    for variant in report.settings.variants:
        cells = [report.summary.cell(protocol, variant.name, metric, emotion) for emotion in emotions]
        known = [cell for cell in cells if cell is not None]
        if len(known) < len(cells):
            rows.append([escape(variant.name), *["--"] * (len(cells) + 1)])
            continue
        average = known[-1]
        comparison = report.summary.comparison(protocol, variant.name, metric)
        mark = r"$^{*}$" if comparison is not None and comparison.p_holm < SIGNIFICANT else ""
        spread = "" if math.isnan(average.std) else rf" $\pm$ {_percent(average.std)}"
        range_ = f"{_percent(average.low)}--{_percent(average.high)}"
        means = [_percent(cell.mean) for cell in known]
        rows.append([escape(variant.name), *means[:-1], f"{means[-1]}{spread}{mark}", range_])
        if not all(math.isnan(cell.published) for cell in known):
            assert report.settings.published is not None
            name = escape(report.settings.published.rows[variant.name])
            rows.append([rf"\quad \emph{{{name}, published}}", *(_percent(c.published) for c in known), ""])
    return rows


def _caption(report: Report, protocol: Protocol, metric: str) -> str:
    settings = report.settings
    sentences = [f"{settings.name}, {protocol.name}: {HEADS[metric]} (%)", *report.describe(protocol)]
    if len(settings.seeds) > 1:
        sentences.append(f"Mean and standard deviation over {len(settings.seeds)} seeds")
    caption = escape(". ".join(_capitalised(each) for each in sentences) + ".")
    if settings.baseline is not None:
        caption += (
            rf" $^{{*}}$: differs from {escape(settings.baseline)} ($p < {SIGNIFICANT}$, paired bootstrap, Holm)."
        )
    if settings.published is not None:
        caption += f" Published: {escape(SOURCE)}."
    return caption


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _percent(share: float) -> str:
    return "--" if math.isnan(share) else number(100 * share, "{:.1f}")
