from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mme2e.errors import UserError
from mme2e.scores.chance import always_yes, drawn_from_prior
from mme2e.scores.label_sets import choice_scores, set_scores
from mme2e.scores.metrics import METRICS, average, emotion_scores, one_choice, sigmoid, softmax, weighted_average
from mme2e.scores.thresholds import DEFAULT_THRESHOLD, THRESHOLDS, choose_thresholds, decide, sweep_f1

TOLERANCE = 1e-6
ROWS = ("accuracy", "recall", "precision", "f1", "auc")


@pytest.fixture
def golden(shared: Callable[[str], Path]) -> dict[str, np.ndarray]:
    with np.load(shared("golden/metrics.npz")) as file:
        return dict(file)


def with_average(scores: np.ndarray) -> np.ndarray:
    return np.append(scores, average(scores).value)


class TestGolden:
    @pytest.mark.parametrize("kind", ["single", "multi"])
    def test_thresholds_and_scores_at_them(self, golden, kind):
        valid = sigmoid(golden[f"{kind}_valid_logits"])
        thresholds = choose_thresholds(valid, golden[f"{kind}_valid_targets"] > 0)
        np.testing.assert_allclose(thresholds, golden[f"{kind}_thresholds"], atol=1e-12)
        for split in ("valid", "test"):
            probabilities = sigmoid(golden[f"{kind}_{split}_logits"])
            labels = golden[f"{kind}_{split}_targets"] > 0
            scores = emotion_scores(probabilities, decide(probabilities, thresholds), labels)
            rows = np.stack([with_average(getattr(scores, row)) for row in ROWS])
            np.testing.assert_allclose(rows, golden[f"{kind}_{split}_stats"], atol=TOLERANCE)

    def test_weighted_accuracy_at_chosen_thresholds(self, golden):
        probabilities = sigmoid(golden["multi_test_logits"])
        decisions = decide(probabilities, golden["multi_thresholds"])
        scores = emotion_scores(probabilities, decisions, golden["multi_test_targets"] > 0)
        np.testing.assert_allclose(scores.weighted_accuracy, golden["multi_test_weighted_accuracy"], atol=TOLERANCE)

    def test_scores_at_one_half(self, golden):
        probabilities = sigmoid(golden["multi_test_logits"])
        labels = golden["multi_test_targets"] > 0
        decisions = decide(probabilities, np.full(6, 0.5))
        scores = emotion_scores(probabilities, decisions, labels)
        for key, values in (
            ("multi_test_at_half_wacc", scores.weighted_accuracy),
            ("multi_test_at_half_weighted_f1", scores.weighted_f1),
            ("multi_test_auc", scores.auc),
        ):
            np.testing.assert_allclose(with_average(values), golden[key], atol=TOLERANCE)
        sets = set_scores(decisions, labels)
        np.testing.assert_allclose(
            (sets.exact_match, sets.partial_match, sets.intersect),
            golden["multi_test_at_half_strict_subset_intersect"],
            atol=TOLERANCE,
        )

    def test_single_choice(self, golden):
        scores = choice_scores(golden["single_test_logits"], golden["single_test_targets"] > 0)
        macro = [average(values).value for values in (scores.recall, scores.precision, scores.f1)]
        np.testing.assert_allclose([scores.accuracy, *macro], golden["ce_test_acc_recall_precision_f1"], atol=TOLERANCE)

    def test_every_key_of_the_file_is_covered(self, golden):
        inputs = {
            f"{kind}_{split}_{what}"
            for kind in ("single", "multi")
            for split in ("valid", "test")
            for what in ("logits", "targets")
        }
        compared = {
            f"{kind}_{what}" for kind in ("single", "multi") for what in ("thresholds", "valid_stats", "test_stats")
        }
        compared |= {
            "multi_test_weighted_accuracy",
            "multi_test_at_half_wacc",
            "multi_test_at_half_weighted_f1",
            "multi_test_auc",
            "multi_test_at_half_strict_subset_intersect",
            "ce_test_acc_recall_precision_f1",
        }
        assert set(golden) == inputs | compared


SKLEARN = {
    "accuracy": accuracy_score,
    "recall": recall_score,
    "precision": lambda labels, decisions: precision_score(labels, decisions, zero_division=0),
    "f1": f1_score,
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    "weighted_accuracy": balanced_accuracy_score,
    "weighted_f1": lambda labels, decisions: f1_score(labels, decisions, average="weighted"),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("decimals", [1, 8])
def test_scores_are_those_of_scikit_learn(metric: str, decimals: int) -> None:
    # One decimal: many ties, which the ranking scores must treat alike.
    generator = np.random.default_rng(decimals)
    labels = generator.random((200, 4)) < [0.5, 0.2, 0.05, 0.9]
    probabilities = np.round(generator.random(labels.shape) * 0.7 + 0.3 * labels, decimals)
    decisions = probabilities > 0.5
    of = probabilities if metric in ("auc", "average_precision") else decisions
    expected = [SKLEARN[metric](labels[:, index], of[:, index]) for index in range(4)]
    found = getattr(emotion_scores(probabilities, decisions, labels), metric)
    np.testing.assert_allclose(found, expected, atol=1e-12)


class TestUndefined:
    probabilities = np.array([[0.9, 0.8, 0.3], [0.2, 0.7, 0.6], [0.6, 0.9, 0.1]])
    labels = np.array([[True, True, False], [False, True, False], [True, True, False]])  # mixed, all, none

    def test_what_cannot_be_known_is_nan_and_averages_say_over_how_many(self):
        scores = emotion_scores(self.probabilities, self.probabilities > 0.5, self.labels)
        np.testing.assert_allclose(scores.accuracy, [1, 1, 2 / 3])
        for row in ("recall", "precision", "f1"):
            np.testing.assert_array_equal(getattr(scores, row), [1, 1, np.nan])
            assert average(getattr(scores, row)).defined == 2
        for row in ("auc", "weighted_accuracy"):
            np.testing.assert_array_equal(getattr(scores, row), [1, np.nan, np.nan])
        expected = [
            f1_score(truth, decided, average="weighted", zero_division=0)
            for truth, decided in zip(self.labels.T, (self.probabilities > 0.5).T, strict=True)
        ]
        np.testing.assert_allclose(scores.weighted_f1, expected)

    def test_average_precision_wants_positives_only(self):
        scores = emotion_scores(self.probabilities, self.probabilities > 0.5, self.labels)
        np.testing.assert_array_equal(scores.average_precision, [1, 1, np.nan])

    def test_average_precision_of_hand(self):
        probabilities = np.array([[0.9], [0.8], [0.7], [0.6]])
        labels = np.array([[True], [False], [True], [False]])
        scores = emotion_scores(probabilities, probabilities > 0.5, labels)
        np.testing.assert_allclose(scores.average_precision, [(1 + 2 / 3) / 2])

    def test_weighted_average_is_over_the_defined_ones(self):
        values = np.array([1.0, 0.5, np.nan, 0.0])
        assert weighted_average(values, np.array([1, 3, 5, 0])) == pytest.approx(2.5 / 4)
        assert np.isnan(weighted_average(values, np.zeros(4, dtype=int)))

    def test_weighted_average_is_sklearns(self):
        generator = np.random.default_rng(0)
        probabilities, labels = generator.random((50, 4)), generator.random((50, 4)) < 0.4
        scores = emotion_scores(probabilities, probabilities > 0.5, labels)
        expected = f1_score(labels, probabilities > 0.5, average="weighted")
        assert weighted_average(scores.f1, labels.sum(axis=0)) == pytest.approx(expected)

    def test_an_emotion_that_is_never_decided_has_precision_and_f1_of_zero(self):
        scores = emotion_scores(self.probabilities, np.zeros((3, 3), dtype=bool), self.labels)
        np.testing.assert_array_equal(scores.precision, [0, 0, np.nan])
        np.testing.assert_array_equal(scores.f1, [0, 0, np.nan])

    def test_average_of_nothing(self):
        nothing = average(np.full(3, np.nan))
        assert np.isnan(nothing.value)
        assert nothing.defined == 0

    def test_no_utterance(self):
        with pytest.raises(UserError, match="no utterance to score"):
            emotion_scores(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), np.zeros((0, 3), dtype=bool))

    def test_one_utterance(self):
        scores = emotion_scores(self.probabilities[:1], self.probabilities[:1] > 0.5, self.labels[:1])
        np.testing.assert_array_equal(scores.f1, [1, 1, np.nan])
        assert np.isnan(scores.auc).all()


class TestThresholds:
    def test_lowest_of_the_best(self):
        probabilities = np.array([[0.30], [0.80]])
        labels = np.array([[False], [True]])
        assert choose_thresholds(probabilities, labels) == pytest.approx([0.30])  # 0.30 itself is not above 0.30

    def test_without_positives(self):
        probabilities = np.array([[0.3, 0.9], [0.8, 0.1]])
        labels = np.array([[False, True], [False, False]])
        assert choose_thresholds(probabilities, labels) == pytest.approx([DEFAULT_THRESHOLD, 0.1])
        assert np.isnan(sweep_f1(probabilities, labels)[:, 0]).all()

    def test_sweep_is_f1_score(self):
        generator = np.random.default_rng(0)
        probabilities = generator.random((40, 3))
        labels = generator.random((40, 3)) < 0.3
        swept = sweep_f1(probabilities, labels)
        assert swept.shape == (19, 3)
        for row, threshold in zip(swept, THRESHOLDS, strict=True):
            expected = [f1_score(labels[:, e], probabilities[:, e] > threshold, zero_division=0) for e in range(3)]
            np.testing.assert_allclose(row, expected)


class TestSets:
    def test_intersect_depends_on_label_order_and_overlap_does_not(self):
        decisions = np.array([[True, True, False]])
        labels = np.array([[False, True, False]])
        assert set_scores(decisions, labels).intersect == 0
        assert set_scores(decisions, labels).overlap == 1
        assert set_scores(decisions[:, ::-1], labels[:, ::-1]).intersect == 1

    def test_nothing_said_and_nothing_there_is_right(self):
        none = np.zeros((1, 3), dtype=bool)
        scores = set_scores(none, none)
        assert (scores.exact_match, scores.partial_match, scores.intersect, scores.overlap) == (1, 1, 1, 1)


class TestChoice:
    def test_confusion_and_missing_emotion(self):
        logits = np.array([[3.0, 1, 0], [0, 2, 1], [0, 2, 1]])
        labels = np.array([[True, False, False], [False, True, False], [True, False, False]])
        scores = choice_scores(logits, labels)
        np.testing.assert_array_equal(scores.confusion, [[1, 1, 0], [0, 1, 0], [0, 0, 0]])
        np.testing.assert_allclose(scores.recall, [0.5, 1, np.nan])
        assert average(scores.f1).defined == 2

    def test_several_emotions_are_refused(self):
        with pytest.raises(UserError, match="exactly one"):
            choice_scores(np.zeros((1, 2)), np.array([[True, True]]))

    def test_tie_goes_to_the_first(self):
        np.testing.assert_array_equal(one_choice(np.array([[1.0, 2, 2]])), [[False, True, False]])


def test_probabilities_survive_extreme_logits():
    logits = np.array([[-1000.0, 0, 1000]], dtype=np.float32)
    np.testing.assert_array_equal(sigmoid(logits), [[0, 0.5, 1]])
    np.testing.assert_array_equal(softmax(logits), [[0, 0, 1]])


class TestChance:
    labels = np.array([[True, False], [False, False], [False, False], [False, False]])

    def test_always_yes_equals_scoring_all_ones(self):
        chance = always_yes(self.labels)
        yes = np.ones((4, 2), dtype=bool)
        np.testing.assert_allclose(chance.f1, emotion_scores(yes.astype(float), yes, self.labels).f1)
        np.testing.assert_allclose(chance.accuracy, [0.75, 1])
        np.testing.assert_array_equal(chance.average_precision, [0.25, np.nan])

    def test_drawn_from_prior_equals_a_simulation(self):
        generator = np.random.default_rng(0)
        labels = one_choice(generator.random((200_000, 3)) * [1, 2, 3])
        train = one_choice(generator.random((1000, 3)) * [3, 1, 1])
        prior = train.mean(axis=0)
        drawn = np.eye(3, dtype=bool)[generator.choice(3, size=len(labels), p=prior)]
        simulated = emotion_scores(drawn.astype(float), drawn, labels).f1
        np.testing.assert_allclose(drawn_from_prior(labels, train).f1, simulated, atol=5e-3)
