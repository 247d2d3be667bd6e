"""Whether a probability of 70 % is right seven times out of ten, and the temperature that makes it so.

Each emotion is a yes-or-no question of its own. Its temperature divides the logits: above 1 it takes back confidence,
below 1 it adds some. It keeps the order of the utterances, so that AUC and average precision stay as they are.

Sources: temperature scaling and expected calibration error, Guo et al. 2017, "On Calibration of Modern Neural
Networks", sections 2 and 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from mme2e.scores.metrics import Bools, Floats, sigmoid

BINS = 10
"""Of equal width, from 0 to 1."""

TEMPERATURE_RANGE = (0.05, 20.0)
"""Where temperatures are looked for; the best one of logits that separate perfectly would be 0."""

_SMALLEST = 1e-12
"""Probabilities nearer to 0 or 1 are moved here: their logits, and the loss of being wrong, stay finite."""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Utterances by the probability that they were given.

    Attributes:
        counts: (bins, emotions) utterances in each bin.
        predicted: (bins, emotions) their mean probability; NaN in an empty bin.
        observed: (bins, emotions) share of them that have the emotion; NaN in an empty bin.
        expected_error: (emotions,) expected calibration error: the mean distance of predicted and observed, weighted
            by counts, in [0, 1]. With few utterances it is above 0 even for perfect probabilities.
        log_loss: (emotions,) mean binary cross-entropy, in nats.
    """

    counts: NDArray[np.int64]
    predicted: Floats
    observed: Floats
    expected_error: Floats
    log_loss: Floats


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Temperatures from validation and what they do to the split that is scored.

    Attributes:
        temperatures: (emotions,); NaN where validation lacks utterances with or without the emotion: its
            probabilities stay as they are.
        fitted_on: Which utterances the temperatures come from, for people.
        before: Of the model's own probabilities.
        after: Of those with temperature.
    """

    temperatures: Floats
    fitted_on: str
    before: Reliability
    after: Reliability


def fit_temperatures(probabilities: Floats, labels: Bools) -> Floats:
    """The temperature of each emotion that gives the lowest log loss.

    Args:
        probabilities: (utterances, emotions) of the validation split.
        labels: (utterances, emotions).

    Returns:
        (emotions,) within `TEMPERATURE_RANGE`; NaN for an emotion that all or none of the utterances have.
    """
    return np.array(
        [_fit(column, truth) for column, truth in zip(logits_of(probabilities).T, labels.T, strict=True)], dtype=float
    )


def with_temperature(probabilities: Floats, temperatures: Floats) -> Floats:
    """Probabilities whose logits are divided by the temperature of their emotion.

    Args:
        probabilities: (utterances, emotions). Those of emotions that exclude each other need not sum to 1 afterwards.
        temperatures: (emotions,); NaN leaves an emotion as it is.
    """
    scaled = sigmoid(logits_of(probabilities) / np.nan_to_num(temperatures, nan=1.0))
    return np.where(np.isnan(temperatures), probabilities, scaled)


def best_temperature(loss: Callable[[float], float]) -> float:
    """The temperature within `TEMPERATURE_RANGE` at which a loss is lowest.

    Args:
        loss: By temperature.
    """
    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(lambda log: loss(float(np.exp(log))), bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def logits_of(probabilities: Floats) -> Floats:
    """The logits whose sigmoid is that probability; finite also for 0 and 1."""
    inside = probabilities.clip(_SMALLEST, 1 - _SMALLEST)
    return np.log(inside) - np.log1p(-inside)


def reliability(probabilities: Floats, labels: Bools) -> Reliability:
    """Compares probabilities with what came true.

    Args:
        probabilities: (utterances, emotions) in [0, 1]; at least one utterance.
        labels: (utterances, emotions).
    """
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)  # 1 belongs to the last one
    members = bins == np.arange(BINS)[:, None, None]  # (bins, utterances, emotions)
    counts = members.sum(axis=1)
    safe = np.maximum(counts, 1)
    predicted = np.where(counts > 0, (members * probabilities).sum(axis=1) / safe, np.nan)
    observed = np.where(counts > 0, (members & labels).sum(axis=1) / safe, np.nan)
    distances = np.nan_to_num(np.abs(predicted - observed))
    return Reliability(
        counts=counts,
        predicted=predicted,
        observed=observed,
        expected_error=(distances * counts).sum(axis=0) / len(labels),
        log_loss=_log_loss(logits_of(probabilities), labels),
    )


def calibrate(
    valid_probabilities: Floats, valid_labels: Bools, probabilities: Floats, labels: Bools, *, fitted_on: str
) -> Calibration:
    """Fits temperatures on validation and measures calibration with and without them.

    Args:
        valid_probabilities: (utterances, emotions) of the validation split.
        valid_labels: (utterances, emotions).
        probabilities: (utterances, emotions) of the split that is scored.
        labels: (utterances, emotions).
        fitted_on: What to call the validation split.
    """
    temperatures = fit_temperatures(valid_probabilities, valid_labels)
    return Calibration(
        temperatures=temperatures,
        fitted_on=fitted_on,
        before=reliability(probabilities, labels),
        after=reliability(with_temperature(probabilities, temperatures), labels),
    )


def _fit(logits: Floats, truth: Bools) -> float:
    if truth.all() or not truth.any():
        return float("nan")
    return best_temperature(lambda temperature: float(_log_loss(logits / temperature, truth)))


def _log_loss(logits: Floats, labels: Bools) -> Floats:
    return np.logaddexp(0.0, np.where(labels, -logits, logits)).mean(axis=0)
