"""The probability from which an emotion is said to be present; chosen on validation data, never on test data."""

import numpy as np

from mme2e.scores.metrics import Bools, Counts, Floats, f1

THRESHOLDS = np.arange(1, 20) / 20
"""The candidates of the reference: 0.05, 0.10 ... 0.95."""

DEFAULT_THRESHOLD = 0.5
"""For an emotion about which validation data say nothing."""


def sweep_f1(probabilities: Floats, labels: Bools) -> Floats:
    """F1 of every emotion at every candidate threshold.

    Args:
        probabilities: (utterances, emotions).
        labels: (utterances, emotions).

    Returns:
        (thresholds, emotions); NaN for an emotion that no utterance has.
    """
    return f1(Counts.of(probabilities > THRESHOLDS[:, None, None], labels))


def choose_thresholds(probabilities: Floats, labels: Bools) -> Floats:
    """The threshold with the best F1 for each emotion, the lowest at a tie.

    Args:
        probabilities: (utterances, emotions) of the validation split.
        labels: (utterances, emotions).

    Returns:
        (emotions,); `DEFAULT_THRESHOLD` for an emotion that no utterance has.
    """
    best = np.nan_to_num(sweep_f1(probabilities, labels), nan=-1.0).argmax(axis=0)
    return np.where(labels.any(axis=0), THRESHOLDS[best], DEFAULT_THRESHOLD)


def decide(probabilities: Floats, thresholds: Floats) -> Bools:
    """Which emotions are present: strictly above their threshold.

    Args:
        probabilities: (utterances, emotions).
        thresholds: (emotions,).
    """
    return probabilities > thresholds
