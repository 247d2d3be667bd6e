"""What a score is worth: bootstrap over utterances, paired comparison, correction for many comparisons.

A resample of a test set is a row of weights: how often each utterance was drawn. Every score is computed for all rows
at once and means the same as in `mme2e.scores.metrics`; a row of ones gives the score itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mme2e.errors import UserError
from mme2e.scores.metrics import Bools, Floats

METRICS = (
    "f1",
    "weighted_accuracy",
    "auc",
    "average_precision",
    "recall",
    "precision",
    "accuracy",
    "weighted_f1",
)
"""Scores of each emotion that can be resampled: the fields of `EmotionScores`."""

LEVEL = 0.95
"""Share of the resamples inside an interval."""

_ROWS = 256  # resamples at a time: memory stays small on large test sets


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run says about a test set.

    Attributes:
        ids: (utterances,) their ids.
        probabilities: (utterances, emotions) in [0, 1].
        decisions: (utterances, emotions), by thresholds that were fixed before.
        labels: (utterances, emotions) the truth.
    """

    ids: tuple[str, ...]
    probabilities: Floats
    decisions: Bools
    labels: Bools

    def only(self, ids: Sequence[str]) -> "Outcome":
        """The outcome on some of the utterances, in the order of `ids`."""
        where = {identity: row for row, identity in enumerate(self.ids)}
        rows = [where[identity] for identity in ids]
        return Outcome(
            ids=tuple(ids),
            probabilities=self.probabilities[rows],
            decisions=self.decisions[rows],
            labels=self.labels[rows],
        )


def resamples(utterances: int, draws: int, seed: Sequence[int]) -> Floats:
    """Draws test sets of the same size with replacement.

    Args:
        utterances: Of the test set, at least one.
        draws: How many sets.
        seed: Same numbers, same sets.

    Returns:
        (draws, utterances): how often each utterance is in each set; rows sum to `utterances`.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(utterances, size=(draws, utterances))
    return np.stack([np.bincount(row, minlength=utterances) for row in drawn]).astype(np.float64)


def scores_of(outcome: Outcome, metric: str, weights: Floats | None = None) -> Floats:
    """A score of every emotion, and their average, on every resample.

    Args:
        outcome: Of one run.
        metric: One of `METRICS`.
        weights: (draws, utterances); the test set itself when None.

    Returns:
        (draws, emotions + 1), the average over the defined emotions last; NaN where a resample leaves a score
        undefined.

    Raises:
        UserError: There is no such metric.
    """
    if metric not in METRICS:
        raise UserError(f"'{metric}' is no metric; there are {', '.join(METRICS)}")
    if weights is None:
        weights = np.ones((1, len(outcome.ids)))
    parts = [weights[start : start + _ROWS] for start in range(0, len(weights), _ROWS)]
    scores = np.concatenate([_scores(outcome, metric, part) for part in parts])
    return np.column_stack([scores, defined_mean(scores, axis=1)])


def defined_mean(values: Floats, axis: int) -> Floats:
    """The mean along an axis over what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=axis), defined.sum(axis=axis))


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """The mean along the last axis over what is defined, each value as often as its weight; NaN where nothing is."""
    counted = np.where(np.isnan(values), 0.0, weights)
    return _ratio((np.nan_to_num(values) * counted).sum(axis=-1), counted.sum(axis=-1))


def interval(replicates: Floats) -> tuple[float, float]:
    """The percentile interval of (draws,): between its 2.5 % and 97.5 % quantiles; NaN when none is defined."""
    defined = replicates[~np.isnan(replicates)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_p(differences: Floats) -> float:
    """Two-sided p-value of a difference, from differences on the same resamples.

    Twice the share of resamples on whose test set the difference is zero or of the other sign; the observed set counts
    as one more resample, so it is never 0.

    Args:
        differences: (draws,); undefined ones are left out.

    Returns:
        In (0, 1]; NaN when none is defined.
    """
    defined = differences[~np.isnan(differences)]
    if len(defined) == 0:
        return float("nan")
    fewer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (1 + fewer) / (1 + len(defined)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the chance of one false finding or more among all is bounded by the level.

    Args:
        p_values: Of all comparisons that are shown together; NaN stays NaN and does not count.

    Returns:
        Corrected p-values in the order given.
    """
    corrected = [float("nan")] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not np.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[index] = largest
    return corrected


def _scores(outcome: Outcome, metric: str, weights: Floats) -> Floats:
    if metric in ("auc", "average_precision"):
        ranked = _auc if metric == "auc" else _average_precision
        pairs = zip(outcome.probabilities.T, outcome.labels.T, strict=True)
        return np.column_stack([ranked(probabilities, labels, weights) for probabilities, labels in pairs])
    decisions, labels = outcome.decisions, outcome.labels
    total = weights.sum(axis=1, keepdims=True)
    positives = weights @ labels
    tp, fp = weights @ (decisions & labels), weights @ (decisions & ~labels)
    fn, negatives = positives - tp, total - positives
    tn = negatives - fp
    if metric == "accuracy":
        return (tp + tn) / total
    if metric == "recall":
        return _ratio(tp, positives)
    if metric == "weighted_accuracy":
        return (_ratio(tp, positives) + _ratio(tn, negatives)) / 2
    if metric == "precision":
        return np.where(positives > 0, np.nan_to_num(_ratio(tp, tp + fp)), np.nan)
    f1 = _ratio(2 * tp, 2 * tp + fp + fn)
    if metric == "f1":
        return np.where(positives > 0, f1, np.nan)
    f1_no = _ratio(2 * tn, 2 * tn + fp + fn)
    return (np.nan_to_num(f1) * positives + np.nan_to_num(f1_no) * negatives) / total


def _grouped(probabilities: Floats, labels: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Weights of positives and of negatives at each different probability, descending: (draws, values) each."""
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sorted_weights, truth = weights[:, order], labels[order]
    positives = np.add.reduceat(sorted_weights * truth, starts, axis=1)
    return positives, np.add.reduceat(sorted_weights * ~truth, starts, axis=1)


def _auc(probabilities: Floats, labels: Bools, weights: Floats) -> Floats:
    positives, negatives = _grouped(probabilities, labels, weights)
    # A negative below a positive is one pair in order, at the same probability half a one.
    below = negatives.sum(axis=1, keepdims=True) - np.cumsum(negatives, axis=1)
    ordered = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(ordered, positives.sum(axis=1) * negatives.sum(axis=1))


def _average_precision(probabilities: Floats, labels: Bools, weights: Floats) -> Floats:
    positives, negatives = _grouped(probabilities, labels, weights)
    found = np.cumsum(positives, axis=1)
    precision = _ratio(found, found + np.cumsum(negatives, axis=1))
    return _ratio((positives * np.nan_to_num(precision)).sum(axis=1), positives.sum(axis=1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
