"""Labels of answers that people were shown because the model was unsure: each counts by one over its chance."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from heliostat.monitoring.bias import bias, residuals
from heliostat.monitoring.join import Join
from heliostat.monitoring.label_objects import labels_of
from heliostat.monitoring.log_health import health
from heliostat.monitoring.logged import Reading
from heliostat.monitoring.looking import Look
from heliostat.monitoring.quality import quality
from heliostat.monitoring.sampling import Labelled, Sample
from heliostat.monitoring.weighing import expanded
from heliostat.monitoring.windows import OUTSIDE, numbers_of, window
from heliostat.spec.findings import State
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Multiclass, Regression
from heliostat.spec.watches import BiasWatch, Calendar, ConceptDriftWatch, QualityWatch
from tests.monitoring.logs import NOW, labels, predictions

DAY = timedelta(days=1)
ROWS = 4_000
WRONG = 200
"""Answers that are 8 off; the others are right."""
SHARE = 0.05
"""Of the right answers that people were shown."""


def by_day(times, there):
    return np.where(there, numbers_of(times, Calendar.DAY), OUTSIDE)


def world(seed=0):
    """Answers, what is true of them, and which people were shown, with their weights."""
    random = np.random.default_rng(seed)
    truth = random.gamma(9, 1, ROWS)
    wrong = random.permutation(ROWS) < WRONG
    shown = wrong | (random.random(ROWS) < SHARE)
    return truth, truth + 8 * wrong, shown, np.where(wrong, 1.0, 1 / SHARE)


def line(number, label, weight=None, **more):
    weighed = {} if weight is None else {"weight": weight, "selection": "unsure" if weight == 1 else "random"}
    return json.dumps({"request_id": f"r{number}", "row": 0, "label": label, **weighed, **more}).encode()


def joined(folder, answers, *objects):
    join = Join(folder / "join", ROWS, NOW)
    join.add_predictions(
        predictions([f"r{number}" for number in range(len(answers))], [NOW - DAY] * len(answers), prediction=pa.array(answers))
    )
    for content in objects:
        join.add_labels(labels_of("a.jsonl", content).table)
    return pa.concat_tables(list(join.joined())), join.counts


def reviewed(folder, weighed=True, **more):
    truth, answers, shown, weights = world()
    lines = [line(n, truth[n], weights[n] if weighed else None, **more) for n in np.flatnonzero(shown)]
    return joined(folder, answers, b"\n".join(lines))


MAE = QualityWatch(metric="mean_absolute_error", limit=1.0, min_rows=100)
MONITOR = Monitor(quality=(MAE,), bias=BiasWatch(lowest=0.9, highest=1.1, min_rows=100))


def looked(table, monitor=MONITOR):
    sample = Sample(Regression())
    known = np.random.default_rng(3).normal(9, 3, 200)
    there = predictions([f"x{number}" for number in range(200)], prediction=pa.array(known + 0.4 * (np.arange(200) % 3)))
    sample.add(there.append_column("label", pa.array(known)))
    look = Look(monitor, "prices", Problem(task=Regression()), sample.labelled(), by_day)
    look.add(table)
    [number] = look.held
    return look.report(number, window(number, Calendar.DAY))


def test_reviews_of_unsure_answers_make_no_false_alarm_and_the_finding_says_that_they_are_weighed(tmp_path):
    table, counts = reviewed(tmp_path)
    report = looked(table)
    assert {finding.subject: finding.state for finding in report.findings} == {
        "mean_absolute_error": State.OK, "ratio": State.OK,
    }  # fmt: skip
    [measured] = report.quality
    assert measured.overall.interval.value == pytest.approx(0.4, abs=0.06), "it is 0.4 of all answers"
    assert measured.overall.interval.low < 0.4 < measured.overall.interval.high
    assert report.bias.difference.value == pytest.approx(0.4, abs=0.06)
    assert report.bias.ratio.value == pytest.approx(9.4 / 9, abs=0.03)
    assert report.residuals.mean == pytest.approx(-0.4, abs=0.06)
    assert all("chance that it was chosen for review" in finding.text for finding in report.findings)
    fit = health("prices", NOW, Reading(), counts)[2]
    assert f"{counts.weighed} of them were chosen for review" in fit.text and counts.weighed == report.labels


def test_without_weights_the_labels_are_taken_alike_and_nothing_is_said(tmp_path):
    table, counts = reviewed(tmp_path, weighed=False)
    report = looked(table)
    assert report.findings[0].state is State.BREACH and "chosen" not in report.findings[0].text and counts.weighed == 0


def test_where_only_a_share_is_logged_a_weight_is_that_within_the_log(tmp_path):
    truth, answers, shown, weights = world()
    logged = 0.1
    lines = [line(n, truth[n], weights[n] / logged, logged=logged) for n in np.flatnonzero(shown)]
    table, _ = joined(tmp_path, answers, b"\n".join(lines))
    assert sorted(set(table["label_weight"].drop_null().to_pylist())) == pytest.approx([1, 20])


def test_a_row_whose_truth_came_by_another_way_as_well_counts_as_one(tmp_path):
    first = b"\n".join([line(0, 1.0), line(1, 1.0)])
    second = b"\n".join([line(1, 2.0, 20.0), line(2, 1.0, 20.0)])
    table, counts = joined(tmp_path, [1.0] * 4, first, second)
    found = {row["request_id"]: (row["label"], row["label_weight"]) for row in table.to_pylist()}
    assert found == {"r0": (1, 1), "r1": (2, 1), "r2": (1, 20), "r3": (None, None)}
    assert counts.weighed == 1


@pytest.mark.parametrize("weight", [0, -1, float("nan"), "much"])
def test_a_weight_that_is_none_is_not_counted_as_one(tmp_path, weight):
    table, counts = joined(tmp_path, [1.0], b"request" if weight is None else line(0, 1.0, weight))
    assert table["label_weight"].to_pylist() == [1] and counts.weighed == 0


def test_weights_are_read_of_separated_values_and_parquet_as_well():
    found = labels_of("a.csv", b"request_id,label,weight\na,1,20\nb,1,\n")
    assert found.table["weight"].to_pylist() == [20, None]


def test_labels_without_weights_have_none():
    assert labels(["a"], [1])["weight"].to_pylist() == [None]


def test_so_many_of_each_row_stand_for_all(tmp_path):
    counts = np.bincount(expanded(np.array([1.0, 20.0, 1.0]), 100_000))
    assert (counts / counts[0]).tolist() == [1, 20, 1], "whole weights are exact"
    many = np.bincount(expanded(np.full(1_000, 50.0), 1_000_000), minlength=1_000)
    assert len(set(many.tolist())) == 1, "all alike count as one each"
    few = expanded(np.tile([1.0, 100.0], 50_000), 200_000)
    assert len(few) == pytest.approx(200_000, rel=0.01) and np.mean(few % 2) == pytest.approx(100 / 101, abs=0.001)
    assert len(expanded(np.zeros(0), 10)) == 0


def test_probabilities_are_weighed_in_their_bins_and_intervals_hold_what_is_true_of_all():
    random = np.random.default_rng(1)
    scores = random.beta(2, 3, 40_000)
    truth = (random.random(40_000) < scores).astype(float)
    chance = np.where(truth == 1, 1.0, 0.05)
    shown = random.random(40_000) < chance
    hidden, known = (
        Labelled(truth[c], scores[c], np.flatnonzero(c).astype(np.uint64), weights=w[c])
        for c, w in ((shown, np.ones(40_000)), (shown, 1 / chance))
    )
    wrong, right = (bias(Binary(), each, 0.95) for each in (hidden, known))
    assert wrong.calibration_error > 0.2 and right.calibration_error < 0.03
    assert right.mean_label == pytest.approx(truth.mean(), abs=0.02) and right.ratio.low < 1 < right.ratio.high
    for each in right.bins:
        assert each.high - each.low > 0.03, "rows that stand for twenty tell less than twenty"
    watch = QualityWatch(metric="brier_score", limit=1)
    whole = float(np.mean((scores - truth) ** 2))
    found = quality(Problem(task=Binary()), known, watch).overall.interval
    assert found.low < whole < found.high and not quality(Problem(task=Binary()), hidden, watch).overall.interval.low < whole
    assert residuals(known).mean == pytest.approx(0, abs=0.02)


def test_several_classes_are_weighed_too():
    predictions = np.array([[0.9, 0.1], [0.2, 0.8]] * 200)
    labelled = Labelled(np.zeros(400), predictions, np.arange(400, dtype=np.uint64), weights=np.tile([9.0, 1.0], 200))
    watch = QualityWatch(metric="accuracy", limit=0.5, min_rows=100)
    assert quality(Problem(task=Multiclass(classes=("a", "b"))), labelled, watch).overall.interval.value == pytest.approx(0.9)


def test_errors_of_reviewed_rows_are_thinned_before_a_change_is_looked_for(tmp_path):
    pytest.importorskip("river")
    table, _ = reviewed(tmp_path)
    monitor = Monitor(concept_drift=(ConceptDriftWatch(of="error"),))
    [finding] = looked(table, monitor).findings
    assert "chosen for review" in finding.text
