"""What the checks make of two versions' answers."""

from __future__ import annotations

import json
import typing

import numpy as np
import pytest

from heliostat.ml.analyst_checks import Pair, alike, comparison, figures
from heliostat.ml.analyst_client import Ask, Reply
from heliostat.ml.analyst_distances import DISTANCES
from heliostat.ml.ground_truth import GroundTruth
from heliostat.ml.metrics import METRICS
from heliostat.spec.analysis import Analysis, Metric
from heliostat.spec.resources import StoreAddress


@pytest.fixture
def truth(tmp_path):
    return GroundTruth(StoreAddress(uri=f"file://{tmp_path}"), "halves")


@pytest.fixture
def made(truth):
    def make(**check):
        [parsed] = Analysis.model_validate({"checks": [check]}).checks
        return comparison(parsed, truth)

    return make


def reply(answer, status=200):
    return Reply(status, json.dumps(answer).encode(), 1.0)


def pair(ours, theirs, *, many=False, statuses=(200, 200), name="r"):
    """Answers to one row, or to many."""
    wrap = (lambda rows: {"rows": rows}) if many else (lambda row: row)
    body = b'{"rows": []}' if many else b"{}"
    return Pair(Ask(name, body), reply(wrap(ours), statuses[0]), reply(wrap(theirs), statuses[1]))


def disagreement(made, *pairs, **check):
    found = made(kind="disagreement", atMost=0.1, **check)
    for each in pairs:
        found.add(each)
    return found.figure()


def test_the_same_answers_do_not_disagree(made):
    figure = disagreement(made, pair({"a": 1, "b": [1, "x"]}, {"b": [1, "x"], "a": 1.0}))
    assert (figure.candidate, figure.rows, figure.text) == (0, 1, "")


def test_rows_are_counted_one_by_one(made):
    figure = disagreement(made, pair([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], many=True), pair({"a": 1}, {"a": 1}))
    assert (figure.candidate, figure.rows) == (pytest.approx(1 / 3), 3)
    assert figure.text == 'e.g. {"a": 2} instead of {"a": 3}, request r'


def test_only_the_named_field_counts_and_only_beyond_the_tolerance(made):
    pairs = [pair({"a": 1.0, "b": 1}, {"a": 1.05, "b": 2}), pair({"a": 1.0}, {"a": 1.2})]
    assert disagreement(made, *pairs, field="a", tolerance=0.1).candidate == 0.5


def test_another_status_disagrees_in_every_row_and_the_same_refusal_does_not(made):
    broken = pair([], [{"a": 1}, {"a": 2}], many=True, statuses=(500, 200))
    refused = pair({"detail": "x"}, {"detail": "y"}, statuses=(422, 422))
    figure = disagreement(made, broken, refused)
    assert (figure.candidate, figure.rows) == (pytest.approx(2 / 3), 3)
    assert "status 500 instead of status 200" in figure.text


def test_another_number_of_rows_disagrees_in_all_of_them(made):
    assert disagreement(made, pair([{"a": 1}], [{"a": 1}, {"a": 2}], many=True)).candidate == 1


def test_a_field_that_one_version_lacks_disagrees_and_one_that_both_lack_is_said(made):
    assert disagreement(made, pair({}, {"a": 1}), field="a").candidate == 1
    figure = disagreement(made, pair({"b": 1}, {"b": 1}), field="a")
    assert (figure.candidate, figure.text) == (None, "no answer has a field 'a'")


def test_with_nothing_to_compare_with_there_is_no_figure(made):
    figure = disagreement(made, Pair(Ask("r", b"{}"), reply({"a": 1}), None))
    assert (figure.candidate, figure.rows) == (None, 0)
    both_silent = Pair(Ask("r", b"{}"), Reply(0, b"", 1.0), Reply(0, b"", 1.0))
    assert disagreement(made, both_silent).rows == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [(1, True, False), (True, True, True), (0, False, False), (None, 0, False), (1, 1.0, True), ([1], [1, 2], False)],
)
def test_json_values_are_told_apart_by_their_kind(ours, theirs, same):
    assert alike(ours, theirs, 0.0) is same


@pytest.mark.parametrize("name", list(DISTANCES))
def test_a_distance_is_nothing_between_the_same_and_grows_with_a_shift(name):
    numbers = np.random.default_rng(7).random(500)
    distance = DISTANCES[name]
    assert distance(numbers, numbers) == pytest.approx(0, abs=1e-9)
    near, far = distance(numbers + 0.05, numbers), distance(numbers + 0.5, numbers)
    assert 0 < near < far


def test_distances_are_the_known_ones():
    ours, theirs = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.0, 0.0, 1.0])
    assert DISTANCES["kolmogorov-smirnov"](ours, theirs) == pytest.approx(0.25)
    assert DISTANCES["wasserstein"](ours, theirs) == pytest.approx(0.25)
    shares, others = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    middle = (shares + others) / 2
    divergence = (np.sum(shares * np.log2(shares / middle)) + np.sum(others * np.log2(others / middle))) / 2
    assert DISTANCES["jensen-shannon"](ours, theirs) == pytest.approx(np.sqrt(divergence))
    assert DISTANCES["jensen-shannon"](np.zeros(9), np.ones(9)) == pytest.approx(1)


def test_psi_sees_a_shift_away_from_a_constant_whichever_way_it_goes():
    constant = np.full(200, 0.5)
    assert DISTANCES["psi"](constant, constant) == 0
    assert DISTANCES["psi"](constant + 0.1, constant) > 1
    assert DISTANCES["psi"](constant - 0.1, constant) > 1


def test_psi_over_ten_equal_bins_is_the_textbooks():
    serving = np.arange(1000) / 1000
    candidate = np.concatenate((serving[:500], serving[:500]))
    expected = 5 * (0.2 - 0.1) * np.log(2) + 5 * (0.0001 - 0.1) * np.log(0.0005 / 0.1) * (0.0999 / 0.0999)
    assert DISTANCES["psi"](candidate, serving) == pytest.approx(expected, rel=0.02)


def test_a_boolean_field_counts_as_nought_and_one_and_a_text_is_refused(made):
    check = {"kind": "prediction-distance", "distance": "wasserstein", "atMost": 0.1}
    booleans, texts = made(field="late", **check), made(field="name", **check)
    for each in (booleans, texts):
        each.add(pair({"late": True, "name": "x"}, {"late": False, "name": "y"}))
    assert (booleans.figure().candidate, booleans.figure().rows) == (1.0, 1)
    figure = texts.figure()
    assert (figure.candidate, figure.rows) == (None, 0)
    assert figure.text == "the field 'name' is \"x\" in an answer: a finite number is needed"


def test_a_model_metric_is_of_the_rows_with_truth_that_both_answered(made, truth):
    truth.labels.update({("a", 0): 1.0, ("a", 1): 0.0, ("b", 0): 1.0})
    check = made(kind="model-metric", metric="accuracy", field="p", limit=0.5)
    check.add(pair([{"p": 0.9}, {"p": 0.9}, {"p": 0.1}], [{"p": 0.9}, {"p": 0.1}, {"p": 0.1}], many=True, name="a"))
    check.add(pair({}, {"p": 1}, statuses=(500, 200), name="b"))
    check.add(pair({"p": 1}, {"p": 1}, name="unknown"))
    check.add(pair({"p": 0}, {}, statuses=(200, 500), name="b"))
    figure = check.figure()
    assert (figure.candidate, figure.serving, figure.rows) == (0.5, 1.0, 2)


def test_a_model_metric_of_a_first_version_is_its_own(made, truth):
    truth.labels["a", 0] = 1.0
    check = made(kind="model-metric", metric="accuracy", field="p", limit=0.5)
    check.add(Pair(Ask("a", b"{}"), reply({"p": 0.9}), None))
    figure = check.figure()
    assert (figure.candidate, figure.serving, figure.rows) == (1.0, None, 1)


def test_a_metric_that_needs_both_classes_says_when_there_is_one(made, truth):
    truth.labels["a", 0] = 1.0
    check = made(kind="model-metric", metric="roc_auc", field="p", margin=0.1)
    check.add(pair({"p": 0.5}, {"p": 0.5}, name="a"))
    figure = check.figure()
    assert (figure.candidate, figure.rows) == (None, 1)
    assert "needs both" in figure.text


def test_labels_of_other_requests_are_no_truth(made, truth):
    truth.labels["elsewhere", 0] = 1.0
    check = made(kind="model-metric", metric="brier", field="p", limit=0.1)
    check.add(pair({"p": 0.5}, {"p": 0.5}, name="a"))
    assert check.figure().text == "1 labels, of no request that was sent"


def test_one_check_that_cannot_be_computed_leaves_the_others(made, monkeypatch):
    bad, good = (made(kind="prediction-distance", field="p", atMost=1, distance=name) for name in ("wasserstein", "psi"))
    monkeypatch.setattr("heliostat.ml.analyst_checks.DISTANCES", {**DISTANCES, "wasserstein": lambda *_: 1 / 0})
    for each in (bad, good):
        each.add(pair({"p": 1.0}, {"p": 1.0}))
    found = figures([(0, bad), (1, good)])
    assert "ZeroDivisionError" in found[0].text
    assert found[1].candidate == 0


def test_the_metrics_of_a_check_are_those_that_can_be_computed():
    assert set(typing.get_args(Metric)) == set(METRICS)
