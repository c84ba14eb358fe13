from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from heliostat.monitoring.bias import bias, expected_calibration_error, residuals
from heliostat.monitoring.sampling import Labelled
from heliostat.spec.tasks import Binary, Multiclass, Quantiles, Regression


def rows_of(scores, truth, requests=None):
    requests = np.arange(len(truth)) if requests is None else requests
    return Labelled(np.asarray(truth, float), np.asarray(scores, float), np.asarray(requests, np.uint64))


def test_the_ratio_of_the_means_and_its_interval_hold_the_truth_as_often_as_they_say():
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        scores = random.beta(2, 6, 400)
        found = bias(Binary(), rows_of(scores, random.random(400) < np.minimum(1, scores * 1.25)), 0.9).ratio
        held += found.low <= 0.8 <= found.high
    assert 165 <= held <= 194, "180 of 200 are expected"


def test_rows_of_one_request_count_as_one():
    random = np.random.default_rng(0)
    scores = np.repeat(random.random(300), 10)
    truth = np.repeat(random.random(300) < scores[::10], 10)
    alone, together = (
        bias(Binary(), rows_of(scores, truth, each), 0.95).ratio for each in (None, np.repeat(np.arange(300), 10))
    )
    assert alone.value == together.value
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(10), rel=0.1)


def test_a_ratio_to_a_mean_that_may_be_nothing_is_not_told_and_the_difference_is():
    random = np.random.default_rng(1)
    found = bias(Regression(), rows_of(random.normal(0.1, 1, 200), random.normal(0, 1, 200)), 0.95)
    assert found.ratio is None and "which does not rule out 0" in found.reason
    assert found.difference.low < 0.1 < found.difference.high
    nothing = bias(Binary(), rows_of(np.full(100, 0.01), np.zeros(100)), 0.95)
    assert nothing.ratio is None and nothing.mean_label == 0
    assert bias(Binary(), rows_of([], []), 0.95).reason == "there are no labels"
    assert "single request" in bias(Binary(), rows_of([0.5, 0.5], [0, 1], [3, 3]), 0.95).reason


def test_bins_are_those_of_scikit_learn_and_right_probabilities_are_off_by_chance_alone():
    random = np.random.default_rng(2)
    scores = random.random(20_000)
    right = rows_of(scores, random.random(20_000) < scores)
    found = bias(Binary(), right, 0.95)
    actual, predicted = calibration_curve(right.labels, scores, n_bins=10, strategy="quantile")
    assert [bin_.actual for bin_ in found.bins] == pytest.approx(actual, abs=2e-3)
    assert [bin_.predicted for bin_ in found.bins] == pytest.approx(predicted, abs=2e-3)
    assert sum(bin_.low <= bin_.predicted <= bin_.high for bin_ in found.bins) >= 8
    assert found.calibration_error < 2.5 * found.calibration_noise
    wrong = bias(Binary(), rows_of(scores**2, right.labels), 0.95)
    assert wrong.calibration_error == pytest.approx(np.abs(scores - scores**2).mean(), rel=0.05)
    assert wrong.calibration_error > 10 * wrong.calibration_noise


def test_predictions_that_are_all_alike_are_one_bin():
    found = bias(Binary(), rows_of(np.full(100, 0.3), np.arange(100) < 30), 0.95)
    assert len(found.bins) == 1 and found.calibration_error == pytest.approx(0)
    assert expected_calibration_error(np.array([0.5]), np.array([1.0])) == 0.5


def test_of_several_classes_the_likeliest_counts_and_of_quantiles_the_middle_one():
    scores = np.array([[0.7, 0.2, 0.1]] * 60 + [[0.1, 0.8, 0.1]] * 40)
    found = bias(Multiclass(classes=("a", "b", "c")), rows_of(scores, [0] * 50 + [2] * 10 + [1] * 40), 0.95)
    assert found.mean_prediction == pytest.approx(0.74) and found.mean_label == pytest.approx(0.9)
    middle = bias(Quantiles(levels=(0.1, 0.5, 0.9)), rows_of([[1, 2, 3]] * 50, np.linspace(3, 5, 50)), 0.95)
    assert middle.ratio.value == pytest.approx(0.5) and middle.calibration_error is None


def test_residuals_tell_a_shift_a_slope_and_a_spread_that_grows():
    random = np.random.default_rng(3)
    predictions = random.random(5_000) * 10
    labels = 1 + 1.2 * predictions + random.normal(size=5_000) * np.where(predictions > 5, 3, 1)
    found = residuals(rows_of(predictions, labels))
    assert found.mean == pytest.approx(2, abs=0.1) and found.slope == pytest.approx(0.2, abs=0.03)
    assert found.spread_ratio > 2 and found.quantiles["0.5"] == pytest.approx(np.median(labels - predictions))
    assert residuals(rows_of([], [])).rows == 0 and residuals(rows_of([[1, 2]], [1])).rows == 0
    assert residuals(rows_of([1, 1], [1, 2])).slope is None


def test_one_absurd_label_is_told_with_what_it_leaves_open():
    labels = np.zeros(400)
    labels[7] = 1e6
    found = bias(Regression(), rows_of(np.ones(400), labels), 0.95)
    assert found.ratio is None
    assert found.reason == "the mean label is 2500 ± 4900, which does not rule out 0: a ratio to it says nothing"
