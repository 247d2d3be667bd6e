"""What somebody who never looks at an utterance would score, to be read beside every score."""

from dataclasses import dataclass

import numpy as np

from mme2e.scores.metrics import Bools, Floats


@dataclass(frozen=True, kw_only=True)
class Chance:
    """Scores without looking.

    Attributes:
        rule: How the F1 was had, for people.
        f1: (emotions,), NaN for an emotion that no utterance has.
        accuracy: (emotions,), of the more frequent answer, which is mostly no.
        average_precision: (emotions,), the share of utterances with the emotion; NaN where none has it.
        auc, weighted_accuracy: One half, whatever the emotion.
    """

    rule: str
    f1: Floats
    accuracy: Floats
    average_precision: Floats
    auc: float = 0.5
    weighted_accuracy: float = 0.5


def always_yes(labels: Bools) -> Chance:
    """Says yes to every emotion: the best F1 that needs no looking, so a threshold chosen for F1 may fall back on it.

    With prevalence q the F1 is 2 q / (1 + q).

    Args:
        labels: (utterances, emotions) of the split that is scored.
    """
    share = labels.mean(axis=0)
    f1 = np.where(share > 0, 2 * share / (1 + share), np.nan)
    return _chance("always yes", f1, share)


def drawn_from_prior(labels: Bools, train_labels: Bools) -> Chance:
    """Draws one emotion an utterance as often as training has it: the fair opponent of a single choice.

    With train prevalence r and prevalence q the F1 (of the expected counts) is 2 q r / (q + r).

    Args:
        labels: (utterances, emotions) of the split that is scored.
        train_labels: (utterances, emotions) of the training split.
    """
    share, prior = labels.mean(axis=0), train_labels.mean(axis=0)
    f1 = np.where(share > 0, 2 * share * prior / np.maximum(share + prior, 1e-12), np.nan)
    return _chance("drawn from the training prior", f1, share)


def _chance(rule: str, f1: Floats, share: Floats) -> Chance:
    average_precision = np.where(share > 0, share, np.nan)
    return Chance(rule=rule, f1=f1, accuracy=np.maximum(share, 1 - share), average_precision=average_precision)
