"""What the checks make of two versions' answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heliostat.analysis.answers import Pair
from heliostat.analysis.client import Reply, Request
from heliostat.analysis.comparisons import alike, comparison, figures
from heliostat.analysis.distances import DISTANCES
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.reservoir import Reservoir
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Analysis, Verdict


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
    return Pair(Request(name, body), reply(wrap(ours), statuses[0]), reply(wrap(theirs), statuses[1]))


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


def test_another_status_disagrees_in_every_row_and_what_neither_answers_is_no_row(made):
    broken = pair([], [{"a": 1}, {"a": 2}], many=True, statuses=(500, 200))
    refused = pair({"detail": "x"}, {"detail": "y"}, statuses=(422, 422))
    figure = disagreement(made, broken, refused)
    assert (figure.candidate, figure.rows) == (1.0, 2)
    assert "status 500 instead of status 200" in figure.text


def test_another_number_of_rows_disagrees_in_all_of_them(made):
    assert disagreement(made, pair([{"a": 1}], [{"a": 1}, {"a": 2}], many=True)).candidate == 1


def test_a_field_that_one_version_lacks_disagrees_and_one_that_both_lack_is_said(made):
    assert disagreement(made, pair({}, {"a": 1}), field="a").candidate == 1
    figure = disagreement(made, pair({"b": 1}, {"b": 1}), field="a")
    assert (figure.candidate, figure.text) == (None, "no answer has a field 'a'")


def test_with_nothing_to_compare_with_there_is_no_figure(made):
    figure = disagreement(made, Pair(Request("r", b"{}"), reply({"a": 1}), None))
    assert (figure.candidate, figure.rows) == (None, 0)
    both_silent = Pair(Request("r", b"{}"), Reply(0, b"", 1.0), Reply(0, b"", 1.0))
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


@pytest.mark.parametrize("name", ["kolmogorov-smirnov", "jensen-shannon", "psi"])
@pytest.mark.parametrize("far", [(1e9,), (-1e300,), (1e9, -1e9)])
@pytest.mark.parametrize("where", ["candidate", "serving", "both"])
def test_a_far_value_does_not_hide_a_shift_of_all_the_others(name, far, where):
    numbers = np.random.default_rng(7).random(2_000)
    ours = np.concatenate((numbers + 0.3, far if where != "serving" else ()))
    theirs = np.concatenate((numbers, far if where != "candidate" else ()))
    assert DISTANCES[name](ours, theirs) == pytest.approx(DISTANCES[name](numbers + 0.3, numbers), rel=0.1)


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
    check.add(Pair(Request("a", b"{}"), reply({"p": 0.9}), None))
    figure = check.figure()
    assert (figure.candidate, figure.serving, figure.rows) == (1.0, None, 1)


def test_a_metric_that_needs_both_classes_says_when_there_is_one(made, truth):
    truth.labels["a", 0] = 1.0
    check = made(kind="model-metric", metric="roc_auc", field="p", margin=0.1)
    check.add(pair({"p": 0.5}, {"p": 0.5}, name="a"))
    figure = check.figure()
    assert (figure.candidate, figure.rows) == (None, 1)
    assert "needs others too" in figure.text


def test_labels_of_other_requests_are_no_truth(made, truth):
    truth.labels["elsewhere", 0] = 1.0
    check = made(kind="model-metric", metric="brier", field="p", limit=0.1)
    check.add(pair({"p": 0.5}, {"p": 0.5}, name="a"))
    assert check.figure().text == "1 labels, of no request that was sent"


def test_one_check_that_cannot_be_computed_leaves_the_others(made, monkeypatch):
    bad, good = (made(kind="prediction-distance", field="p", atMost=1, distance=name) for name in ("wasserstein", "psi"))
    monkeypatch.setattr("heliostat.analysis.scores.DISTANCES", {**DISTANCES, "wasserstein": lambda *_: 1 / 0})
    for each in (bad, good):
        each.add(pair({"p": 1.0}, {"p": 1.0}))
    found = figures([(0, bad), (1, good)])
    assert "ZeroDivisionError" in found[0].text
    assert found[1].candidate == 0


NUMBERS = [number / 100 for number in range(100)]


def apart(made, distance, ours, theirs=NUMBERS, at_most=0.1):
    check = made(kind="prediction-distance", field="p", distance=distance, atMost=at_most)
    check.add(pair([{"p": each} for each in ours], [{"p": each} for each in theirs], many=True))
    return check.figure()


@pytest.mark.parametrize("nothing", [None, float("nan"), "none", 10**400], ids=["null", "NaN", "text", "too large"])
@pytest.mark.parametrize(("distance", "at_least"), [("kolmogorov-smirnov", 0.3), ("jensen-shannon", 0.3), ("psi", 1.0)])
def test_answers_without_a_number_are_a_mass_of_their_own_in_a_distance(made, distance, at_least, nothing):
    every_third = [nothing if place % 10 < 3 else each for place, each in enumerate(NUMBERS)]
    figure = apart(made, distance, every_third)
    assert figure.candidate >= at_least
    assert figure.rows == 100
    assert figure.text.startswith("30 of 100 rows have no number from the candidate, e.g. the field 'p' is ")
    assert apart(made, distance, NUMBERS).candidate == pytest.approx(0)


def test_an_earth_movers_distance_to_answers_without_a_number_is_infinite_and_fails(made):
    figure = apart(made, "wasserstein", [None, None, *NUMBERS[2:]], at_most=1e9)
    assert (figure.verdict, figure.candidate, figure.rows) == (Verdict.FAIL, None, 100)
    assert figure.text.startswith("the distance is infinite; 2 of 100 rows have no number from the candidate")
    assert apart(made, "wasserstein", NUMBERS).verdict is None
    one = apart(made, "wasserstein", [None, *NUMBERS[1:]])
    assert one.verdict is None, "a connection may break"
    assert "1 of 100 rows have no number" in one.text


def test_requests_that_only_what_serves_answers_count_in_a_distance_and_the_other_way_round_they_do_not(made):
    check = made(kind="prediction-distance", field="p", atMost=0.1)
    check.add(pair({"p": 0.5}, {"p": 0.5}))
    check.add(pair({"detail": "broken"}, {"p": 0.5}, statuses=(500, 200)))
    check.add(pair([{"p": 0.5}], [{"p": 0.5}, {"p": 0.5}], many=True))
    for nothing in (pair({"p": 0.5}, {"detail": "broken"}, statuses=(200, 500)), pair({"p": 0.5}, {"p": None})):
        check.add(nothing)
    figure = check.figure()
    assert (figure.candidate, figure.rows) == (0.5, 4)
    assert "2 of 4 rows have no number from the candidate, e.g. status 500" in figure.text


def scored(made, truth, answers, *, serving=True, statuses=(200, 200)):
    """Of a metric, after so many requests whose truth is known, alternately 1 and 0, which what serves knows."""
    check = made(kind="model-metric", metric="accuracy", field="p", limit=0.5)
    for place, ours in enumerate(answers):
        truth.labels[str(place), 0] = float(place % 2)
        one = pair({"p": ours}, {"p": place % 2}, name=str(place), statuses=statuses)
        check.add(one if serving else Pair(one.request, one.candidate, None))
    return check.figure()


def test_a_metric_fails_where_the_candidate_leaves_out_what_it_does_not_know(made, truth):
    figure = scored(made, truth, [place % 2 if place % 10 else None for place in range(100)])
    assert (figure.verdict, figure.candidate, figure.rows) == (Verdict.FAIL, None, 100)
    assert figure.text == (
        "10 of 100 rows have no number from the candidate, e.g. the field 'p' is null in an answer: "
        "a finite number is needed: at most 1% may be"
    )


def test_a_metric_fails_where_the_candidate_answers_nothing_that_what_serves_does(made, truth):
    figure = scored(made, truth, [0.5] * 50, statuses=(500, 200))
    assert (figure.verdict, figure.rows) == (Verdict.FAIL, 50)
    assert "50 of 50 rows have no number from the candidate, e.g. status 500" in figure.text


def test_a_first_version_that_leaves_out_what_it_does_not_know_fails_its_metric_too(made, truth):
    assert scored(made, truth, [None, None, 1], serving=False).verdict is Verdict.FAIL
    assert scored(made, truth, [0, 1, 0], serving=False, statuses=(500, 0)).verdict is Verdict.FAIL


def test_a_metric_lets_a_few_rows_without_an_answer_through_and_says_so(made, truth):
    figure = scored(made, truth, [None, None, *(place % 2 for place in range(198))])
    assert (figure.verdict, figure.candidate, figure.serving, figure.rows) == (None, 1.0, 1.0, 198)
    assert figure.text.startswith("2 of 200 rows have no number")
    one = scored(made, truth, [None, 1, 0])
    assert (one.verdict, one.rows) == (None, 2), "one row is no share"


def test_rows_that_what_serves_does_not_answer_either_are_not_held_against_the_candidate(made, truth):
    check = made(kind="model-metric", metric="accuracy", field="p", limit=0.5)
    for place in range(20):
        truth.labels[str(place), 0] = 1.0
        check.add(pair({"p": None}, {"p": None}, name=str(place)) if place % 2 else pair({"p": 1}, {"p": 1}, name=str(place)))
    assert (check.figure().verdict, check.figure().rows) == (None, 10)


def test_a_stream_of_days_takes_no_more_memory_and_is_counted_exactly(made, monkeypatch):
    monkeypatch.setattr("heliostat.analysis.scores.Reservoir", lambda columns: Reservoir(columns, most=500))
    check = made(kind="prediction-distance", field="p", atMost=0.1)
    rng = np.random.default_rng(5)
    for _ in range(50):
        numbers = rng.random(100)
        check.add(pair([{"p": each + 0.25} for each in numbers], [{"p": each} for each in numbers], many=True))
    figure = check.figure()
    assert check._sample.columns.shape == (2, 500)
    assert (figure.candidate, figure.rows) == (pytest.approx(0.25, abs=0.06), 5000)


def test_many_rows_are_not_sorted_again_for_each_that_comes(made, monkeypatch):
    monkeypatch.setattr("heliostat.analysis.scores._EXACT_ROWS", 150)
    computed = []
    monkeypatch.setattr("heliostat.analysis.scores.DISTANCES", {"psi": lambda ours, _: computed.append(len(ours)) or 0.0})
    check = made(kind="prediction-distance", field="p", distance="psi", atMost=0.1)
    for rows in range(1, 300):
        check.add(pair({"p": 1.0}, {"p": 1.0}))
        assert (check.figure().rows, check.figure().rows) == (rows, rows)
    assert computed[:150] == list(range(1, 151))
    assert len(computed) < 150 + 75
