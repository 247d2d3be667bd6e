import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from mme2e.records import plain
from mme2e.scores.calibration import (
    BINS,
    TEMPERATURE_RANGE,
    calibrate,
    fit_temperatures,
    logits_of,
    reliability,
    with_temperature,
)
from mme2e.scores.metrics import average, emotion_scores, sigmoid

TRUE_TEMPERATURES = np.array([0.5, 1.0, 3.0])


def drawn(utterances: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right once their logits are divided by `TRUE_TEMPERATURES`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-0.5, 2.0, (utterances, 3))
    return sigmoid(logits), generator.random(logits.shape) < sigmoid(logits / TRUE_TEMPERATURES)


class TestTemperatures:
    def test_the_true_ones_are_found(self):
        np.testing.assert_allclose(fit_temperatures(*drawn(40_000)), TRUE_TEMPERATURES, rtol=0.05)

    def test_no_other_has_a_lower_log_loss(self):
        probabilities, labels = drawn(200)
        best = fit_temperatures(probabilities, labels)
        lowest = reliability(with_temperature(probabilities, best), labels).log_loss
        for factor in (0.9, 0.99, 1.01, 1.1):
            other = reliability(with_temperature(probabilities, best * factor), labels).log_loss
            assert (other > lowest).all()

    def test_all_or_none_have_the_emotion(self):
        probabilities, labels = drawn(50)
        labels[:, 0], labels[:, 1] = True, False
        temperatures = fit_temperatures(probabilities, labels)
        np.testing.assert_array_equal(np.isnan(temperatures), [True, True, False])
        scaled = with_temperature(probabilities, temperatures)
        np.testing.assert_array_equal(scaled[:, :2], probabilities[:, :2])
        assert not np.allclose(scaled[:, 2], probabilities[:, 2])

    def test_perfect_separation_ends_at_the_bound(self):
        probabilities = np.array([[0.4], [0.6]])
        (temperature,) = fit_temperatures(probabilities, probabilities > 0.5)
        assert temperature == pytest.approx(TEMPERATURE_RANGE[0], rel=0.01)

    def test_order_of_utterances_stays(self):
        probabilities, labels = drawn(300)
        scaled = with_temperature(probabilities, np.array([0.3, 2.0, np.nan]))
        before, after = (emotion_scores(each, each > 0.5, labels) for each in (probabilities, scaled))
        np.testing.assert_allclose(after.auc, before.auc, atol=1e-12)
        np.testing.assert_allclose(after.average_precision, before.average_precision, atol=1e-12)
        np.testing.assert_array_equal(scaled > 0.5, probabilities > 0.5)

    def test_probabilities_of_zero_and_one(self):
        certain = np.array([[0.0, 1.0], [1.0, 0.0]])
        assert np.isfinite(logits_of(certain)).all()
        wrong = certain < 0.5
        assert fit_temperatures(certain, wrong) == pytest.approx([TEMPERATURE_RANGE[1]] * 2, rel=0.01)
        assert np.isfinite(reliability(certain, wrong).log_loss).all()


class TestReliability:
    def test_of_hand(self):
        probabilities = np.array([[0.11], [0.19], [0.95], [1.0]])
        found = reliability(probabilities, np.array([[False], [True], [True], [True]]))
        assert found.counts.ravel().tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
        np.testing.assert_allclose(found.predicted[[1, 9], 0], [0.15, 0.975])
        np.testing.assert_allclose(found.observed[[1, 9], 0], [0.5, 1.0])
        assert np.isnan(found.predicted[0, 0])
        np.testing.assert_allclose(found.expected_error, [(0.35 + 0.025) / 2])

    def test_log_loss_is_the_usual_one(self):
        probabilities, labels = drawn(100)
        expected = [log_loss(labels[:, e], probabilities[:, e]) for e in range(3)]
        np.testing.assert_allclose(reliability(probabilities, labels).log_loss, expected)

    def test_one_utterance(self):
        found = reliability(np.array([[0.3]]), np.array([[True]]))
        np.testing.assert_allclose(found.expected_error, [0.7])

    def test_every_utterance_is_in_one_bin(self):
        probabilities, labels = drawn(500)
        np.testing.assert_array_equal(reliability(probabilities, labels).counts.sum(axis=0), [500] * 3)
        assert reliability(probabilities, labels).counts.shape == (BINS, 3)


class TestCalibrate:
    def test_error_sinks_on_utterances_that_were_not_seen(self):
        found = calibrate(*drawn(4000, seed=1), *drawn(4000, seed=2), fitted_on="validation")
        after = found.after.expected_error
        assert (after < 0.02).all()
        assert (found.before.expected_error[[0, 2]] > 0.05).all()
        assert average(found.after.log_loss).value < average(found.before.log_loss).value

    def test_undefined_is_null_in_json(self):
        probabilities, labels = drawn(20)
        labels[:, 1] = False
        found = calibrate(probabilities, labels, probabilities, labels, fitted_on="validation")
        content = json.loads(json.dumps(plain(found), allow_nan=False))
        assert content["temperatures"][1] is None
        assert content["temperatures"][0] > 0
