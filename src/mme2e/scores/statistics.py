"""What a score is worth: cluster bootstrap, paired comparison, correction for many comparisons.

What is drawn are recordings or speakers with all of their utterances: those of one recording are alike, and drawn one
by one they would make a score look surer than it is (Field and Welsh 2007, "Bootstrapping clustered data").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mme2e.scores.metrics import Bools, Floats, defined_mean, emotion_score

Unit = Literal["recording", "speaker", "utterance"]
"""What the bootstrap draws."""

LEVEL = 0.95
"""Share of the resamples inside an interval."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run says about a test set.

    Attributes:
        ids: (utterances,) their ids.
        probabilities: (utterances, emotions) in [0, 1].
        decisions: (utterances, emotions), by thresholds that were fixed before.
        labels: (utterances, emotions) the truth.
        recordings, speakers: (utterances,) the recording and the speaker of each; None where nobody knows.
    """

    ids: tuple[str, ...]
    probabilities: Floats
    decisions: Bools
    labels: Bools
    recordings: tuple[str, ...] | None = None
    speakers: tuple[str, ...] | None = None

    def only(self, ids: Sequence[str]) -> "Outcome":
        """The outcome on some of the utterances, in the order of `ids`."""
        where = {identity: row for row, identity in enumerate(self.ids)}
        rows = [where[identity] for identity in ids]

        def part(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if values is None else tuple(values[row] for row in rows)

        return Outcome(
            ids=tuple(ids),
            probabilities=self.probabilities[rows],
            decisions=self.decisions[rows],
            labels=self.labels[rows],
            recordings=part(self.recordings),
            speakers=part(self.speakers),
        )

    def units(self, unit: Unit) -> tuple[str, ...] | None:
        """(utterances,) the recording, speaker or id of each; None where nobody knows."""
        return {"recording": self.recordings, "speaker": self.speakers, "utterance": self.ids}[unit]


def resamples(units: int | Sequence[str], draws: int, seed: Sequence[int]) -> Floats:
    """Draws test sets with replacement, each of as many units as there are.

    Args:
        units: (utterances,) the unit of each utterance: utterances of one unit are drawn together. Or the number of
            utterances that are units of their own. At least one.
        draws: How many sets.
        seed: Same numbers, same sets.

    Returns:
        (draws, utterances): how often each utterance is in each set. With units of one utterance rows sum to their
        number, else the size of a set varies as its units do.
    """
    if isinstance(units, int):
        count, unit_of = units, np.arange(units)
    else:
        numbers: dict[str, int] = {}
        unit_of = np.array([numbers.setdefault(unit, len(numbers)) for unit in units])
        count = len(numbers)
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    weights = np.stack([np.bincount(row, minlength=count) for row in drawn]).astype(np.float64)
    return weights[:, unit_of]


def scores_of(outcome: Outcome, metric: str, weights: Floats | None = None) -> Floats:
    """A score of every emotion, and their average, on every resample.

    Args:
        outcome: Of one run.
        metric: One of `mme2e.scores.metrics.METRICS`.
        weights: (draws, utterances); the test set itself when None.

    Returns:
        (draws, emotions + 1), or (emotions + 1,) without weights: the average over the defined emotions last; NaN where
        a resample leaves a score undefined.

    Raises:
        UserError: There is no such metric.
    """
    scores = emotion_score(metric, outcome.probabilities, outcome.decisions, outcome.labels, weights)
    return np.concatenate([scores, defined_mean(scores, axis=-1)[..., None]], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """How sure averages over emotions are: 95 % bootstrap intervals.

    Attributes:
        unit: What was drawn.
        units: How many of them there are.
        draws: Resampled test sets.
        averages: Both bounds by metric; NaN where a single unit leaves nothing to draw.
    """

    unit: Unit
    units: int
    draws: int
    averages: dict[str, tuple[float, float]]


def intervals(outcome: Outcome, metrics: Sequence[str], *, unit: Unit, draws: int = 1000, seed: int = 0) -> Intervals:
    """Bootstrap intervals of a run's scores, averages over emotions.

    Args:
        outcome: What the run says, with its recordings and speakers.
        metrics: Some of `mme2e.scores.metrics.METRICS`.
        unit: What is drawn, with all of its utterances.
        draws: Resampled test sets.
        seed: Same number, same sets.
    """
    units = outcome.units(unit)
    assert units is not None
    count = len(set(units))
    found = {metric: (float("nan"), float("nan")) for metric in metrics}
    if count > 1:
        weights = resamples(units, draws, (seed,))
        found = {metric: interval(scores_of(outcome, metric, weights)[:, -1]) for metric in metrics}
    return Intervals(unit=unit, units=count, draws=draws, averages=found)


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
