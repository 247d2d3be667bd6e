"""How right decisions are: per-emotion scores, scores of whole label sets, scores of a single choice.

What cannot be known is NaN, never 0: recall of an emotion that no utterance has, AUC where all or none have it.
Averages are over the emotions whose score is defined, and `Average.defined` says how many those are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from mme2e.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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


@dataclass(frozen=True, kw_only=True)
class Average:
    """A mean over the emotions where a score is defined; NaN when it is defined nowhere."""

    value: float
    defined: int


def average(scores: Floats) -> Average:
    """The mean of the defined values of (emotions,)."""
    defined = scores[~np.isnan(scores)]
    return Average(value=float(defined.mean()) if len(defined) else float("nan"), defined=len(defined))


def weighted_average(scores: Floats, positives: NDArray[np.integer]) -> float:
    """The mean of the defined values of (emotions,), each weighted by how many utterances have the emotion; NaN when
    no utterance has one.
    """
    defined = ~np.isnan(scores) & (positives > 0)
    return float(np.average(scores[defined], weights=positives[defined])) if defined.any() else float("nan")


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
        raise UserError("no utterance to score: wants at least one")
    positives = labels.sum(axis=0)
    negatives = len(labels) - positives
    tp = (decisions & labels).sum(axis=0)
    fp = (decisions & ~labels).sum(axis=0)
    tn = negatives - fp
    fn = positives - tp
    has_positives = positives > 0
    recall = _ratio(tp, positives)
    f1_yes = _ratio(2 * tp, 2 * tp + fp + fn)
    f1_no = _ratio(2 * tn, 2 * tn + fp + fn)
    return EmotionScores(
        accuracy=(tp + tn) / len(labels),
        recall=recall,
        precision=np.where(has_positives, np.nan_to_num(_ratio(tp, tp + fp)), np.nan),
        f1=np.where(has_positives, f1_yes, np.nan),
        auc=_auc(probabilities, labels),
        average_precision=_average_precision(probabilities, labels),
        weighted_accuracy=(recall + _ratio(tn, negatives)) / 2,
        weighted_f1=(np.nan_to_num(f1_yes) * positives + np.nan_to_num(f1_no) * negatives) / len(labels),
    )


@dataclass(frozen=True, kw_only=True)
class SetScores:
    """Shares of utterances whose whole set of emotions is right, in [0, 1].

    Attributes:
        strict: Exactly the true set.
        subset: Exactly it, or a non-empty part of it.
        intersect: Exactly it, or the first emotion that is decided, in label order, is true. This is what the
            reference calls intersect; it depends on the order of the labels.
        overlap: Exactly it, or at least one emotion in common: what the word intersect promises.
    """

    strict: float
    subset: float
    intersect: float
    overlap: float


def set_scores(decisions: Bools, labels: Bools) -> SetScores:
    """Scores the sets of emotions of (utterances, emotions); at least one utterance."""
    strict = (decisions == labels).all(axis=1)
    overlap = (decisions & labels).any(axis=1)
    no_false = ~(decisions & ~labels).any(axis=1)
    first = decisions.argmax(axis=1)
    first_is_true = (decisions & labels)[np.arange(len(labels)), first]
    return SetScores(
        strict=float(strict.mean()),
        subset=float((strict | (overlap & no_false)).mean()),
        intersect=float((strict | first_is_true).mean()),
        overlap=float((strict | overlap).mean()),
    )


@dataclass(frozen=True, kw_only=True)
class ChoiceScores:
    """Scores of choosing one emotion per utterance.

    Attributes:
        accuracy: Share of utterances whose emotion was chosen.
        recall, precision, f1: Per emotion, (emotions,); NaN for an emotion that no utterance has.
        confusion: (true emotion, chosen emotion) counts.
    """

    accuracy: float
    recall: Floats
    precision: Floats
    f1: Floats
    confusion: NDArray[np.int64]


def choice_scores(scores: NDArray[np.floating], labels: Bools) -> ChoiceScores:
    """Scores the most probable emotion against the one true emotion.

    Args:
        scores: (utterances, emotions) logits or probabilities.
        labels: (utterances, emotions), one True a row.

    Raises:
        UserError: An utterance has no emotion or several.
    """
    if not (labels.sum(axis=1) == 1).all():
        raise UserError("choosing one emotion wants utterances with exactly one; this corpus has others")
    confusion = confusion_matrix(labels.argmax(axis=1), scores.argmax(axis=1), labels=range(labels.shape[1]))
    decisions = emotion_scores(scores.astype(np.float64), one_choice(scores), labels)
    return ChoiceScores(
        accuracy=float(confusion.trace() / len(labels)),
        recall=decisions.recall,
        precision=decisions.precision,
        f1=decisions.f1,
        confusion=confusion,
    )


def _ratio(numerator: NDArray[np.integer], denominator: NDArray[np.integer]) -> Floats:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)


def _auc(probabilities: Floats, labels: Bools) -> Floats:
    return np.array(
        [
            roc_auc_score(truth, scores) if 0 < truth.sum() < len(truth) else np.nan
            for truth, scores in zip(labels.T, probabilities.T, strict=True)
        ]
    )


def _average_precision(probabilities: Floats, labels: Bools) -> Floats:
    return np.array(
        [
            average_precision_score(truth, scores) if truth.any() else np.nan
            for truth, scores in zip(labels.T, probabilities.T, strict=True)
        ]
    )
