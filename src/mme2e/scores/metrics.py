"""How right decisions are, emotion by emotion.

Scores are computed for one test set, or for many resamples of it at once: a resample is a row of
weights, how often each utterance was drawn. What cannot be known is NaN, never 0: recall of an emotion that no
utterance has, AUC where all or none have it. Averages are over the emotions whose score is defined, and
`Average.defined` says how many those are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mme2e.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ROWS = 256  # resamples at a time: memory stays small on large test sets


def sigmoid(logits: NDArray[np.floating]) -> Floats:
    """Probabilities of independent emotions.

    Args:
        logits: (utterances, emotions).

    Returns:
        (utterances, emotions) in [0, 1]; double precision, so that a threshold cuts where it says.
    """
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities of emotions that exclude each other.

    Args:
        logits: (utterances, emotions).

    Returns:
        (utterances, emotions); each row sums to 1.
    """
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def one_choice(scores: NDArray[np.floating]) -> Bools:
    """The most probable emotion of each utterance, the first one at a tie, as one true value a row."""
    return np.arange(scores.shape[1]) == scores.argmax(axis=1, keepdims=True)


def ratio(numerator: NDArray, denominator: NDArray) -> Floats:
    """Element by element; NaN where the denominator is not positive."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


@dataclass(frozen=True, kw_only=True)
class Average:
    """A mean over the emotions where a score is defined; NaN when it is defined nowhere."""

    value: float
    defined: int


def average(scores: Floats) -> Average:
    """The mean of the defined values of (emotions,)."""
    return Average(value=float(defined_mean(scores, axis=0)), defined=int((~np.isnan(scores)).sum()))


def defined_mean(values: Floats, axis: int) -> Floats:
    """The mean along an axis over what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=axis), defined.sum(axis=axis))


def weighted_average(scores: Floats, weights: NDArray) -> Floats:
    """The mean along the last axis over what is defined, each value as often as its weight; NaN where nothing is.

    Args:
        scores: (..., emotions), or (..., runs).
        weights: Not negative, in a shape that fits: mostly the positives of each emotion.
    """
    counted = np.where(np.isnan(scores), 0.0, weights)
    return ratio((np.nan_to_num(scores) * counted).sum(axis=-1), counted.sum(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Right and wrong decisions of each emotion: (..., emotions) each, whole numbers."""

    tp: NDArray
    fp: NDArray
    fn: NDArray
    tn: NDArray

    @classmethod
    def of(cls, decisions: Bools, labels: Bools, weights: Floats | None = None) -> "Counts":
        """Counts over utterances.

        Args:
            decisions: (..., utterances, emotions).
            labels: (utterances, emotions).
            weights: (draws, utterances), how often each counts; once when None.
        """

        def total(which: Bools) -> NDArray:
            return which.sum(axis=-2) if weights is None else weights @ which

        tp, fp = total(decisions & labels), total(decisions & ~labels)
        return cls(tp=tp, fp=fp, fn=total(~decisions & labels), tn=total(~decisions & ~labels))

    @property
    def positives(self) -> NDArray:
        """Utterances that have the emotion."""
        return self.tp + self.fn

    @property
    def negatives(self) -> NDArray:
        """Utterances that have it not."""
        return self.fp + self.tn


def f1(counts: Counts) -> Floats:
    """Harmonic mean of recall and precision; NaN without positives."""
    return np.where(counts.positives > 0, ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn), np.nan)


def _accuracy(counts: Counts) -> Floats:
    return (counts.tp + counts.tn) / (counts.positives + counts.negatives)


def recall(counts: Counts) -> Floats:
    """TP / P; NaN without positives."""
    return ratio(counts.tp, counts.positives)


def precision(counts: Counts) -> Floats:
    """TP / (TP + FP), 0 when the emotion is never decided; NaN without positives."""
    return np.where(counts.positives > 0, np.nan_to_num(ratio(counts.tp, counts.tp + counts.fp)), np.nan)


def _weighted_accuracy(counts: Counts) -> Floats:
    return (recall(counts) + ratio(counts.tn, counts.negatives)) / 2


def _weighted_f1(counts: Counts) -> Floats:
    f1_no = f1(Counts(tp=counts.tn, fp=counts.fn, fn=counts.fp, tn=counts.tp))
    weighted = np.nan_to_num(f1(counts)) * counts.positives + np.nan_to_num(f1_no) * counts.negatives
    return weighted / (counts.positives + counts.negatives)


def _auc(positives: Floats, negatives: Floats) -> Floats:
    # A negative below a positive is one pair in order, at the same probability half a one.
    below = negatives.sum(axis=1, keepdims=True) - np.cumsum(negatives, axis=1)
    ordered = (positives * (below + negatives / 2)).sum(axis=1)
    return ratio(ordered, positives.sum(axis=1) * negatives.sum(axis=1))


def _average_precision(positives: Floats, negatives: Floats) -> Floats:
    found = np.cumsum(positives, axis=1)
    precise = ratio(found, found + np.cumsum(negatives, axis=1))
    return ratio((positives * np.nan_to_num(precise)).sum(axis=1), positives.sum(axis=1))


_OF_COUNTS: Mapping[str, Callable[[Counts], Floats]] = {
    "f1": f1,
    "weighted_accuracy": _weighted_accuracy,
    "recall": recall,
    "precision": precision,
    "accuracy": _accuracy,
    "weighted_f1": _weighted_f1,
}
_OF_RANKS: Mapping[str, Callable[[Floats, Floats], Floats]] = {"auc": _auc, "average_precision": _average_precision}
"""Of the weights of positives and negatives at each different probability, descending: (draws, values) each."""

METRICS = (*_OF_COUNTS, *_OF_RANKS)
"""Scores of each emotion: the fields of `EmotionScores`."""


def emotion_score(
    metric: str, probabilities: Floats, decisions: Bools, labels: Bools, weights: Floats | None = None
) -> Floats:
    """One score of each emotion.

    Args:
        metric: One of `METRICS`.
        probabilities: (utterances, emotions), for those that rank.
        decisions: (utterances, emotions), True where the emotion is said to be present.
        labels: (utterances, emotions), True where it is present.
        weights: (draws, utterances): how often each utterance is in each resample; the test set itself when None.

    Returns:
        (emotions,), or (draws, emotions) with weights; NaN where it is undefined.

    Raises:
        UserError: There is no such metric.
    """
    if metric not in METRICS:
        raise UserError(f"unknown metric '{metric}'; choose from {', '.join(METRICS)}")
    if weights is None and metric in _OF_COUNTS:
        return _OF_COUNTS[metric](Counts.of(decisions, labels))
    if weights is None:
        return emotion_score(metric, probabilities, decisions, labels, np.ones((1, len(labels))))[0]
    parts = (weights[start : start + _ROWS] for start in range(0, len(weights), _ROWS))
    if metric in _OF_COUNTS:
        return np.concatenate([_OF_COUNTS[metric](Counts.of(decisions, labels, part)) for part in parts])
    ranked = _OF_RANKS[metric]
    pairs = list(zip(probabilities.T, labels.T, strict=True))
    return np.concatenate([np.column_stack([ranked(*_grouped(*pair, part)) for pair in pairs]) for part in parts])


def _grouped(probabilities: Floats, labels: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Weights of positives and of negatives at each different probability, descending: (draws, values) each."""
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sorted_weights, truth = weights[:, order], labels[order]
    positives = np.add.reduceat(sorted_weights * truth, starts, axis=1)
    return positives, np.add.reduceat(sorted_weights * ~truth, starts, axis=1)


@dataclass(frozen=True, kw_only=True)
class EmotionScores:
    """Scores of each emotion as a yes-or-no question, each (emotions,) in [0, 1] or NaN.

    Attributes:
        accuracy: Share of right decisions. Most emotions are rare, so saying no to all scores high: see the others.
        recall: TP / P; its average over emotions is the unweighted recall. NaN without positives.
        precision: TP / (TP + FP); 0 when the emotion is never decided, as in the reference. NaN without positives.
        f1: Harmonic mean of recall and precision. NaN without positives.
        auc: Area under the ROC curve, of probabilities. NaN without positives or without negatives.
        average_precision: Area under the precision-recall curve, as steps. NaN without positives; chance is the share
            of positives.
        weighted_accuracy: (TP * N / P + TN) / (2 N), the mean of TPR and TNR. NaN without positives or negatives.
        weighted_f1: F1 of yes and F1 of no, weighted by how often each is true (the at-0.5 table of MOSEI).
    """

    accuracy: Floats
    recall: Floats
    precision: Floats
    f1: Floats
    auc: Floats
    average_precision: Floats
    weighted_accuracy: Floats
    weighted_f1: Floats


def emotion_scores(probabilities: Floats, decisions: Bools, labels: Bools) -> EmotionScores:
    """Scores each emotion on its own.

    Args:
        probabilities: (utterances, emotions), for the AUC; any scores that rank will do.
        decisions: (utterances, emotions), True where the emotion is said to be present.
        labels: (utterances, emotions), True where it is present.

    Raises:
        UserError: There is no utterance.
    """
    if len(labels) == 0:
        raise UserError("no utterance to score: at least one is required")
    return EmotionScores(**{metric: emotion_score(metric, probabilities, decisions, labels) for metric in METRICS})
