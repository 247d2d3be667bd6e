"""All scores of an evaluation in Markdown."""

import numpy as np

from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.tables import (
    COLUMNS,
    describe,
    emotion_table,
    evaluation_title,
    markdown_list,
    markdown_table,
    number,
    percent,
)
from mme2e.scores.calibration import Calibration
from mme2e.scores.label_sets import ChoiceScores, SetScores
from mme2e.scores.metrics import EmotionScores, average, weighted_average

_ALL_COLUMNS = {**COLUMNS, "weighted F1": "weighted_f1"}
_CHOICE_COLUMNS = {"recall": "recall", "prec.": "precision", "F1": "f1"}
_SET_COLUMNS = {
    "exact match": "exact_match",
    "partial match": "partial_match",
    "first one": "intersect",
    "at least one": "overlap",
}


def to_markdown(evaluation: Evaluation) -> str:
    """The table of one evaluation and what must be known to read it; then every other score that there is."""
    heads, rows = emotion_table(evaluation)
    blocks = [f"# {evaluation_title(evaluation)}", markdown_table(heads, rows)]
    blocks.append(markdown_list(describe(evaluation)))
    blocks += ["## Decisions", _emotions(evaluation, evaluation.scores, _ALL_COLUMNS)]
    blocks += ["## Decisions at probability 0.5", _emotions(evaluation, evaluation.at_half, _ALL_COLUMNS)]
    blocks += ["## Whole sets of emotions", _sets(evaluation.sets, evaluation.sets_at_half)]
    if evaluation.choice is not None:
        accuracy = f"Accuracy {percent(evaluation.choice.accuracy)}."
        blocks += ["## Most probable emotion", accuracy, _emotions(evaluation, evaluation.choice, _CHOICE_COLUMNS)]
        blocks += ["True emotion (rows) and most probable emotion (columns), utterances:", _confusion(evaluation)]
    if evaluation.calibration is not None:
        blocks += ["## Calibration", _calibration(evaluation.label_names, evaluation.calibration)]
    return "\n\n".join(blocks) + "\n"


def _emotions(evaluation: Evaluation, scores: EmotionScores | ChoiceScores, columns: dict[str, str]) -> str:
    """One row an emotion, their average (macro), and their average weighted by positives."""
    values = [getattr(scores, field) for field in columns.values()]
    positives = np.array(evaluation.positives)
    rows = [[name, *(percent(column[index]) for column in values)] for index, name in enumerate(evaluation.label_names)]
    rows.append(["average", *(percent(average(column).value) for column in values)])
    rows.append(["weighted average", *(percent(float(weighted_average(column, positives))) for column in values)])
    return markdown_table(["emotion", *columns], rows)


def _sets(sets: SetScores, at_half: SetScores) -> str:
    rows = [
        [name, *(percent(getattr(scores, field)) for field in _SET_COLUMNS.values())]
        for name, scores in (("decisions", sets), ("at 0.5", at_half))
    ]
    return markdown_table(["", *_SET_COLUMNS], rows)


def _confusion(evaluation: Evaluation) -> str:
    assert evaluation.choice is not None
    rows = [
        [name, *map(str, row)] for name, row in zip(evaluation.label_names, evaluation.choice.confusion, strict=True)
    ]
    return markdown_table(["", *evaluation.label_names], rows)


def _calibration(names: tuple[str, ...], calibration: Calibration) -> str:
    before, after = calibration.before, calibration.after
    errors, losses = (before.expected_error, after.expected_error), (before.log_loss, after.log_loss)
    rows = [
        [
            name,
            number(calibration.temperatures[index], "{:.2f}"),
            *(percent(error[index]) for error in errors),
            *(number(loss[index], "{:.3f}") for loss in losses),
        ]
        for index, name in enumerate(names)
    ]
    means = [*(percent(average(error).value) for error in errors), *(f"{average(loss).value:.3f}" for loss in losses)]
    heads = ["emotion", "temperature", "error", "error after", "log loss", "log loss after"]
    return markdown_table(heads, [*rows, ["average", "", *means]])
