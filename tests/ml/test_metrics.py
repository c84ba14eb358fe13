"""Metrics: right, with a direction, and defined or left out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml import metrics
from heliostat.spec.workload import Slice
from heliostat.systems.errors import PermanentError

LABELS = np.array([0.0, 0, 1, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def test_known_figures_come_out():
    found = metrics.overall(LABELS, SCORES)
    assert found["roc_auc"] == 0.75
    assert found["accuracy"] == 0.75
    assert found["brier_score"] == pytest.approx(((0.1**2) + 0.4**2 + 0.65**2 + 0.2**2) / 4)
    assert found["log_loss"] == pytest.approx(-np.mean(np.log([0.9, 0.6, 0.35, 0.8])))
    assert found["mean_bias"] == pytest.approx(0.0875)


def test_a_perfect_model_is_best_in_every_direction():
    numbers = 3 * LABELS
    perfect = {**metrics.overall(numbers, numbers), **metrics.overall(LABELS, LABELS)}
    poor = {**metrics.overall(numbers, 3 - numbers), **metrics.overall(LABELS, 1 - LABELS)}
    for name, metric in metrics.METRICS.items():
        if name != "mean_bias":  # the poor one has the right mean here
            assert (perfect[name] > poor[name]) is metric.higher_is_better, name


def test_where_all_labels_are_alike_the_areas_are_left_out():
    assert not {"roc_auc", "average_precision"} & metrics.overall(np.ones(3), np.array([0.1, 0.2, 0.9])).keys()


def test_slices_are_judged_by_value_where_there_are_enough_rows():
    table = pa.table({"origin": ["JFK", "JFK", "JFK", "EWR", None]})
    labels, scores = np.array([0.0, 1, 1, 1, 0]), np.array([0.2, 0.9, 0.1, 0.5, 0.5])
    found = metrics.by_slice(table, labels, scores, "roc_auc", (Slice(column="origin", min_rows=1),))
    assert found == {"origin": {"JFK": {"rows": 3, "value": 0.5}}}, "EWR has one class, the missing value none"


def test_an_unknown_metric_or_column_is_refused_with_what_there_is():
    with pytest.raises(PermanentError, match="no metric 'auc'; there are roc_auc"):
        metrics.metric_of("auc")
    with pytest.raises(PermanentError, match="column 'dest'; the data has origin"):
        metrics.by_slice(pa.table({"origin": ["a"] * 4}), LABELS, SCORES, "roc_auc", (Slice(column="dest"),))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(PermanentError, match="1 of 4 scores are no finite number"):
        metrics.overall(LABELS, np.array([0.1, np.nan, 0.3, 0.4]))


def test_numbers_are_judged_as_numbers_and_have_no_classes():
    found = metrics.overall(np.array([1.0, 2, 4]), np.array([1.5, 2, 3]))
    assert found == {
        "mean_bias": pytest.approx(1 / 6),
        "root_mean_squared_error": pytest.approx(np.sqrt(1.25 / 3)),
        "mean_absolute_error": 0.5,
        "r2": pytest.approx(1 - 1.25 / (14 / 3)),
        "mean_squared_error": pytest.approx(1.25 / 3),
        "median_absolute_error": 0.5,
        "mean_absolute_percentage_error": pytest.approx((0.5 + 0.25) / 3),
    }
    assert "r2" not in metrics.overall(np.array([2.0, 2.0]), np.array([1.0, 3.0])), "nothing varies"
    assert {"root_mean_squared_error", "r2"}.isdisjoint(metrics.overall(LABELS, SCORES))
