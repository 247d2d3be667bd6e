"""Statistics against what can be enumerated, computed by hand, or known beforehand."""

import dataclasses
import itertools

import numpy as np
import pytest

from mme2e.errors import UserError
from mme2e.scores.metrics import METRICS, average, emotion_scores
from mme2e.scores.statistics import Outcome, holm, interval, paired_p, resamples, scores_of


def make_outcome(utterances: int, seed: int = 0, emotions: int = 3, skill: float = 1.0, truth: int = 5) -> Outcome:
    """Probabilities with ties (one decimal), right to a degree."""
    labels = np.random.default_rng(truth).random((utterances, emotions)) < 0.4
    noise = np.random.default_rng(seed).random((utterances, emotions))
    probabilities = np.round((noise + skill * labels) / (1 + skill), 1)
    ids = tuple(f"u{i}" for i in range(utterances))
    return Outcome(ids=ids, probabilities=probabilities, decisions=probabilities > 0.5, labels=labels)


@pytest.mark.parametrize("metric", METRICS)
def test_every_resample_that_there_is_scores_as_if_it_were_the_test_set(metric: str) -> None:
    outcome = make_outcome(3)
    drawn = np.array(list(itertools.product(range(3), repeat=3)))  # all 27
    weights = np.stack([np.bincount(row, minlength=3) for row in drawn]).astype(float)
    found = scores_of(outcome, metric, weights)
    for row, scores in zip(drawn, found, strict=True):
        expected = getattr(
            emotion_scores(outcome.probabilities[row], outcome.decisions[row], outcome.labels[row]), metric
        )
        np.testing.assert_allclose(scores[:-1], expected, atol=1e-12)
        np.testing.assert_allclose(scores[-1], average(expected).value, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_without_weights_it_is_the_score(metric: str) -> None:
    outcome = make_outcome(50)
    expected = getattr(emotion_scores(outcome.probabilities, outcome.decisions, outcome.labels), metric)
    np.testing.assert_allclose(scores_of(outcome, metric)[:-1], expected, atol=1e-12)


def test_an_emotion_that_nobody_has_is_undefined_and_left_out_of_the_average() -> None:
    outcome = make_outcome(20)
    outcome.labels[:, 1] = False
    scores = scores_of(outcome, "f1", resamples(20, 300, [0]))
    assert np.isnan(scores[:, 1]).all()
    np.testing.assert_allclose(scores[0, 3], np.nanmean(scores[0, [0, 2]]))
    assert all(np.isnan(bound) for bound in interval(scores[:, 1]))


def test_resamples_are_drawn_with_replacement_and_seeded() -> None:
    weights = resamples(7, 3000, [1, 2])
    assert weights.shape == (3000, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(weights.var(axis=0), 6 / 7, atol=0.12)  # of a binomial (7, 1/7)
    assert (weights == resamples(7, 3000, [1, 2])).all()
    assert (weights != resamples(7, 3000, [1, 3])).any()
    assert (resamples(1, 5, [0]) == 1).all()


def test_utterances_of_a_unit_are_drawn_together() -> None:
    units = ["a", "b", "a", "c", "a"]
    weights = resamples(units, 2000, [3])
    assert weights.shape == (2000, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()  # as many units as there are
    sizes = weights.sum(axis=1)  # three of one, one and three utterances
    assert sizes.min() == 3
    assert sizes.max() == 9
    np.testing.assert_allclose(sizes.mean(), 5, atol=0.15)


def test_units_of_one_utterance_are_utterances() -> None:
    assert (resamples(["x", "y", "z"], 50, [1]) == resamples(3, 50, [1])).all()


def test_interval_of_clusters_that_are_alike_is_that_of_as_many_utterances() -> None:
    # 400 utterances of 40 recordings, each right or wrong as a whole: no more is known than of 40 utterances.
    right = np.repeat(np.arange(40) < 32, 10)[:, None]
    outcome = Outcome(
        ids=tuple(f"u{i}" for i in range(400)),
        probabilities=right * 1.0,
        decisions=right,
        labels=np.ones((400, 1), dtype=bool),
        recordings=tuple(f"r{i // 10}" for i in range(400)),
        speakers=tuple(f"s{i // 200}" for i in range(400)),
    )

    def width(unit: str) -> float:
        weights = resamples(outcome.units(unit), 4000, [0])  # type: ignore[arg-type]
        low, high = interval(scores_of(outcome, "accuracy", weights)[:, -1])
        return high - low

    of_utterances, of_recordings = (2 * 1.96 * np.sqrt(0.8 * 0.2 / count) for count in (400, 40))
    assert width("utterance") == pytest.approx(of_utterances, rel=0.1)
    assert width("recording") == pytest.approx(of_recordings, rel=0.1)
    assert width("recording") > 3 * width("utterance")


def test_interval_of_a_mean_is_the_one_of_the_binomial() -> None:
    # 100 utterances of which 80 are right: the standard error of the share is 4 %.
    labels = np.ones((100, 1), dtype=bool)
    decisions = (np.arange(100) < 80)[:, None]
    outcome = Outcome(
        ids=tuple(map(str, range(100))), probabilities=decisions * 1.0, decisions=decisions, labels=labels
    )
    low, high = interval(scores_of(outcome, "accuracy", resamples(100, 4000, [0]))[:, -1])
    assert low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.015)
    assert high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.015)


def test_interval_of_what_never_changes_is_a_point() -> None:
    assert interval(np.full(10, 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0] * 99, 2 / 100),  # never of the other sign
        ([-1.0] * 99, 2 / 100),
        ([0.0] * 99, 1.0),  # the very same runs
        ([1.0] * 95 + [-1.0] * 4, 10 / 100),
        ([1.0] * 95 + [0.0] * 4, 10 / 100),  # no difference speaks against one
        ([1.0] * 99 + [float("nan")] * 50, 2 / 100),
    ],
)
def test_paired_p_by_hand(differences: list[float], p: float) -> None:
    assert paired_p(np.array(differences)) == pytest.approx(p)


def test_paired_p_of_nothing_is_undefined() -> None:
    assert np.isnan(paired_p(np.array([float("nan")])))


def paired(one: Outcome, other: Outcome, seed: int = 0) -> float:
    weights = resamples(len(one.ids), 500, [seed])
    return paired_p(scores_of(one, "f1", weights)[:, -1] - scores_of(other, "f1", weights)[:, -1])


def test_a_real_difference_is_found() -> None:
    assert paired(make_outcome(200, seed=1, skill=1.5), make_outcome(200, seed=2, skill=0.3)) < 0.01


def test_where_there_is_no_difference_p_is_small_as_rarely_as_it_says() -> None:
    found = [
        paired(make_outcome(60, seed=2 * i, truth=i), make_outcome(60, seed=2 * i + 1, truth=i), i) for i in range(100)
    ]
    assert sum(p < 0.05 for p in found) <= 12  # 5 expected
    assert sum(p < 0.5 for p in found) >= 30  # 50 expected: nor is it always large


def test_pairing_sees_what_intervals_do_not() -> None:
    # The second run is the first one with every tenth utterance that was right made wrong: always worse, if little.
    better = make_outcome(150, skill=0.6)
    decisions = better.decisions.copy()
    right = np.flatnonzero((decisions == better.labels).all(axis=1))[::10]
    decisions[right] = ~decisions[right]
    worse = Outcome(ids=better.ids, probabilities=better.probabilities, decisions=decisions, labels=better.labels)
    weights = resamples(150, 1000, [0])
    one, other = (scores_of(each, "f1", weights)[:, -1] for each in (better, worse))
    assert interval(one)[0] < interval(other)[1]
    assert paired_p(one - other) < 0.01


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 x .005, 3 x .01, 2 x .03, then not below that
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm_by_hand(p_values: list[float], corrected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(corrected)


def test_holm_leaves_undefined_ones_out() -> None:
    found = holm([float("nan"), 0.01, 0.02])
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx([0.02, 0.02])


def test_part_of_an_outcome() -> None:
    outcome = dataclasses.replace(make_outcome(5), recordings=("r0", "r0", "r1", "r1", "r2"))
    part = outcome.only(["u3", "u1"])
    assert part.ids == ("u3", "u1")
    assert part.units("utterance") == part.ids
    assert part.units("recording") == ("r1", "r0")
    assert part.units("speaker") is None
    np.testing.assert_array_equal(part.labels, outcome.labels[[3, 1]])
    np.testing.assert_array_equal(part.probabilities, outcome.probabilities[[3, 1]])


def test_unknown_metric() -> None:
    with pytest.raises(UserError, match="unknown metric 'f2'; choose from f1"):
        scores_of(make_outcome(3), "f2")
