"""How right decisions are, utterance by utterance: scores of whole label sets and of a single choice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mme2e.errors import UserError
from mme2e.scores.metrics import Bools, Counts, Floats, f1, one_choice, precision, recall


@dataclass(frozen=True, kw_only=True)
class SetScores:
    """Shares of utterances whose whole set of emotions is right, in [0, 1].

    Attributes:
        exact_match: Exactly the true set: the subset accuracy of scikit-learn, "strict" in the reference.
        partial_match: Exactly it, or a non-empty part of it and nothing false: "subset" in the reference.
        intersect: Exactly it, or the first emotion that is decided, in label order, is true. This is what the
            reference calls intersect; it depends on the order of the labels.
        overlap: Exactly it, or at least one emotion in common: what the word intersect promises.
    """

    exact_match: float
    partial_match: float
    intersect: float
    overlap: float


def set_scores(decisions: Bools, labels: Bools) -> SetScores:
    """Scores the sets of emotions of (utterances, emotions); at least one utterance."""
    exact = (decisions == labels).all(axis=1)
    overlap = (decisions & labels).any(axis=1)
    no_false = ~(decisions & ~labels).any(axis=1)
    first = decisions.argmax(axis=1)
    first_is_true = (decisions & labels)[np.arange(len(labels)), first]
    return SetScores(
        exact_match=float(exact.mean()),
        partial_match=float((exact | (overlap & no_false)).mean()),
        intersect=float((exact | first_is_true).mean()),
        overlap=float((exact | overlap).mean()),
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
        raise UserError("choosing one emotion requires utterances with exactly one; this corpus has others")
    chosen = one_choice(scores)
    confusion = labels.T.astype(np.int64) @ chosen
    counts = Counts.of(chosen, labels)
    return ChoiceScores(
        accuracy=float(confusion.trace() / len(labels)),
        recall=recall(counts),
        precision=precision(counts),
        f1=f1(counts),
        confusion=confusion,
    )
