"""Evaluations as tables."""

import math
from collections.abc import Sequence

from mme2e.errors import UserError
from mme2e.evaluation.result import Evaluation
from mme2e.report import Part, Table
from mme2e.scores.metrics import average
from mme2e.scores.statistics import Intervals

COLUMNS = {
    "F1": "f1",
    "WAcc": "weighted_accuracy",
    "AUC": "auc",
    "AP": "average_precision",
    "recall": "recall",
    "prec.": "precision",
    "acc.": "accuracy",
}
"""Heads and fields of the scores; those that an always-no cannot please stand first."""

_WITH_INTERVAL = ("f1", "weighted_accuracy", "auc", "average_precision")
"""Of the averages under the table; the JSON file has all of them."""

UNDEFINED = "\N{EN DASH}"

Grid = tuple[list[str], list[list[str]]]
"""Heads and rows of a table, as many cells as heads."""


def evaluation_parts(evaluation: Evaluation) -> list[Part]:
    """The table of one evaluation and what must be known to read it, for the screen."""
    heads, rows = emotion_table(evaluation)
    table = Table(title=evaluation_title(evaluation), heads=heads, rows=rows, summary=["average", "chance"])
    return [table, *describe(evaluation)]


def comparison(evaluations: Sequence[Evaluation]) -> Table:
    """Several evaluations side by side: F1 of each emotion and the averages that carry information.

    Args:
        evaluations: At least one.

    Raises:
        UserError: Their label names differ.
    """
    names = evaluations[0].label_names
    if any(one.label_names != names for one in evaluations):
        raise UserError("runs can be compared on the same emotions only")
    averages = {"average F1": "f1", "average WAcc": "weighted_accuracy", "average AUC": "auc"}
    rows = [[f"{name} F1", *(percent(one.scores.f1[index]) for one in evaluations)] for index, name in enumerate(names)]
    for head, field in averages.items():
        rows.append([head, *(percent(average(getattr(one.scores, field)).value) for one in evaluations)])
    rows.append(["chance F1", *(percent(average(one.chance.f1).value) for one in evaluations)])
    splits = ", ".join(sorted({f"{one.corpus.split(' ')[0]} {one.split}" for one in evaluations}))
    title = f"{len(evaluations)} runs on {splits} (%)"
    heads = ["", *(one.run for one in evaluations)]
    return Table(title=title, heads=heads, rows=rows, summary=[*averages, "chance F1"])


def evaluation_title(evaluation: Evaluation) -> str:
    """What was scored on what."""
    corpus = evaluation.corpus.split(" ")[0]
    return f"{evaluation.run} on {corpus} {evaluation.split}, {evaluation.utterances} utterances (%)"


def emotion_table(evaluation: Evaluation) -> Grid:
    """Heads and rows: one row an emotion, then their average, then chance."""
    scores, chance = evaluation.scores, evaluation.chance
    heads = ["emotion", "true", "thresh", *COLUMNS, "chance"]
    thresholds = evaluation.thresholds or (math.nan,) * len(evaluation.label_names)
    rows = [
        [
            name,
            str(evaluation.positives[index]),
            number(thresholds[index], "{:.2f}"),
            *(percent(getattr(scores, field)[index]) for field in COLUMNS.values()),
            percent(chance.f1[index]),
        ]
        for index, name in enumerate(evaluation.label_names)
    ]
    means = {field: average(getattr(scores, field)) for field in COLUMNS.values()}
    chance_f1 = percent(average(chance.f1).value)
    rows.append(["average", "", "", *(percent(mean.value) for mean in means.values()), chance_f1])
    by_chance = {
        "f1": average(chance.f1).value,
        "weighted_accuracy": chance.weighted_accuracy,
        "auc": chance.auc,
        "average_precision": average(chance.average_precision).value,
        "accuracy": average(chance.accuracy).value,
    }
    rows.append(["chance", "", "", *(percent(by_chance.get(field, math.nan)) for field in COLUMNS.values()), ""])
    return heads, rows


def describe(evaluation: Evaluation) -> list[str]:
    """The lines that belong under the table."""
    lines = [
        f"split: {evaluation.split_protocol}; {evaluation.shared or 'no training split to compare with'}",
        f"decisions: {evaluation.thresholds_from}",
        f"chance: F1 of {evaluation.chance.rule} (last column); accuracy of the more frequent answer",
    ]
    choice, chance = evaluation.choice, evaluation.choice_chance
    if choice is not None and chance is not None:
        recall, f1 = average(choice.recall), average(choice.f1)
        lines.append(
            f"most probable emotion: accuracy {percent(choice.accuracy)}, macro recall {percent(recall.value)}, "
            f"macro F1 {percent(f1.value)} (chance, {chance.rule}: {percent(average(chance.f1).value)})"
        )
    else:
        sets = evaluation.sets
        lines.append(
            f"whole sets of emotions: exact match {percent(sets.exact_match)}, a part and nothing false "
            f"{percent(sets.partial_match)}, first one right (intersect) {percent(sets.intersect)}, "
            f"at least one in common {percent(sets.overlap)}"
        )
    half = evaluation.at_half
    lines.append(
        f"at threshold 0.5: WAcc {percent(average(half.weighted_accuracy).value)}, "
        f"weighted F1 {percent(average(half.weighted_f1).value)}"
    )
    if evaluation.intervals is not None:
        lines.append(_interval_line(evaluation.intervals))
    calibration = evaluation.calibration
    if calibration is not None:
        errors = [percent(average(part.expected_error).value) for part in (calibration.before, calibration.after)]
        lines.append(f"calibration error {errors[0]}, with temperatures {errors[1]}; from {calibration.fitted_on}")
    emotions = len(evaluation.label_names)
    partial = {
        head: average(getattr(evaluation.scores, field)).defined
        for head, field in COLUMNS.items()
        if average(getattr(evaluation.scores, field)).defined < emotions
    }
    if partial:
        over = ", ".join(f"{head} {defined}" for head, defined in partial.items())
        lines.append(
            f"averages are over fewer than {emotions} emotions where one has no positives or negatives: {over}"
        )
    return [*lines, *evaluation.notes]


def _interval_line(found: Intervals) -> str:
    if found.units < 2:
        return f"95 %: a single {found.unit} leaves nothing to draw, there are no intervals"
    bounds = {head: found.averages[field] for head, field in COLUMNS.items() if field in _WITH_INTERVAL}
    averages = ", ".join(f"{head} {percent(low)} to {percent(high)}" for head, (low, high) in bounds.items())
    return f"95 % of the averages: {averages} (bootstrap over {found.units} {found.unit}s)"


def markdown_list(lines: Sequence[str]) -> str:
    """Lines as a list in Markdown."""
    return "\n".join(f"- {line}" for line in lines)


def markdown_table(heads: list[str], rows: list[list[str]]) -> str:
    """Heads and rows as Markdown; the first column is a name, the others are numbers."""
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    safe = ([cell.replace("|", "\\|") for cell in row] for row in [heads, rule, *rows])
    return "\n".join(f"| {' | '.join(row)} |" for row in safe)


def percent(value: float) -> str:
    """A share with one decimal; `UNDEFINED` for NaN."""
    return number(100 * float(value), "{:.1f}")


def number(value: float, form: str) -> str:
    """A number in that form; `UNDEFINED` for NaN."""
    return UNDEFINED if math.isnan(value) else form.format(value)
