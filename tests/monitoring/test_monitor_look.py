from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from heliostat.monitoring import intervals
from heliostat.monitoring.join import JoinCounts
from heliostat.monitoring.log_health import health
from heliostat.monitoring.logged import Reading
from heliostat.monitoring.looking import Look, encoded, errors
from heliostat.monitoring.sampling import Labelled, Sample
from heliostat.monitoring.windows import OUTSIDE, Looked, by_count, micros, numbers_of, window, within
from heliostat.spec.findings import State
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Multiclass, Regression
from heliostat.spec.watches import BiasWatch, Calendar, ConceptDriftWatch, EstimateWatch, QualityWatch
from tests.monitoring.logs import NOW, predictions

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """How wide an interval is, others test."""
    monkeypatch.setattr(intervals, "_DRAWS", 30)


def by_day(times, there):
    return np.where(there, numbers_of(times, Calendar.DAY), OUTSIDE)


def joined(rows=2_000, days=2, seed=0, broken_on=None, labelled=1.0, name="a"):
    """Days of predictions that are right, but on the day on which their labels are somebody else's."""
    random = np.random.default_rng(seed)
    times = [NOW - (days - number * days // rows) * DAY for number in range(rows)]
    scores = random.beta(2, 3, rows)
    labels = (random.random(rows) < scores).astype(float)
    if broken_on is not None:
        here = np.array([time == NOW - (days - broken_on) * DAY for time in times])
        labels[here] = random.permutation(1 - labels[here])
    table = predictions(
        [f"{name}{number}" for number in range(rows)],
        times,
        prediction=pa.array(scores),
        carrier=pa.array(random.choice(["UA", "AA"], rows)),
    )
    return table.append_column("label", pa.array(labels, mask=random.random(rows) >= labelled))


def sample_of(table, task=None, columns=("carrier",)):
    sample = Sample(task or Binary(), columns)
    sample.add(table)
    return sample.labelled()


MONITOR = Monitor(
    quality=(QualityWatch(metric="roc_auc", margin=0.03, min_rows=200, slices=("carrier",)),),
    bias=BiasWatch(lowest=0.85, highest=1.2),
    estimate=(EstimateWatch(metric="accuracy", margin=0.05, min_rows=500),),
)


def looked(*tables, monitor=MONITOR):
    look = Look(monitor, "flights", Problem(task=Binary()), sample_of(joined(seed=9)), by_day)
    for table in tables:
        look.add(table)
    return look


def test_each_window_has_its_own_report_and_only_what_is_wrong_in_it():
    look = looked(joined(broken_on=1))
    first, second = sorted(look.held)
    calm, broken = (look.report(number, window(number, Calendar.DAY)) for number in (first, second))
    assert {finding.state for finding in calm.findings} == {State.OK}
    wrong = {finding.subject for finding in broken.findings if finding.state is State.BREACH}
    assert "roc_auc" in wrong and "accuracy" not in wrong, "an estimate cannot see what labels became"
    assert (calm.window, calm.rows, calm.labels) == (f"{NOW - 2 * DAY:%Y-%m-%d}", 1_000, 1_000)
    assert calm.bias.rows == 1_000 and calm.residuals.rows == 1_000 and calm.estimates[0].value is not None


def test_parts_and_their_order_change_nothing():
    whole = joined()
    number = min(looked(whole).held)
    there = window(number, Calendar.DAY)
    one = looked(whole).report(number, there)
    other = looked(whole.slice(900), whole.slice(0, 900)).report(number, there)
    assert [finding.value for finding in other.findings] == pytest.approx(
        [finding.value for finding in one.findings], rel=0.05
    )
    assert one.model_validate_json(one.model_dump_json()) == one


def test_without_labels_the_estimate_is_told_and_the_rest_is_unknown():
    look = looked(joined(labelled=0.0))
    number = min(look.held)
    report = look.report(number, window(number, Calendar.DAY))
    states = {finding.aspect: finding.state for finding in report.findings}
    assert states == {"quality": State.UNKNOWN, "prediction-bias": State.UNKNOWN, "estimate": State.OK}
    assert look.held[number] == Looked(1_000, 0)


def test_a_window_that_nothing_came_in_has_a_report_that_says_so():
    report = looked().report(5, window(5, Calendar.DAY))
    assert (report.rows, report.labels) == (0, 0)
    assert {finding.state for finding in report.findings} == {State.UNKNOWN}


def test_a_reference_without_the_metric_is_told():
    look = Look(MONITOR, "flights", Problem(task=Binary()), sample_of(joined(labelled=0.0)), by_day)
    look.add(joined())
    found = look.report(min(look.held), window(min(look.held), Calendar.DAY)).findings
    assert {finding.state for finding in found if finding.aspect in ("quality", "estimate")} == {State.UNKNOWN}


def test_numbers_are_estimated_by_their_inputs_texts_among_them():
    random = np.random.default_rng(0)

    def of(rows, noisy):
        kind = random.choice(["calm", "wild"], rows, p=[1 - noisy, noisy])
        truth = random.normal(size=rows)
        error = random.normal(size=rows) * np.where(kind == "wild", 3, 0.5)
        table = predictions(
            [f"b{number}" for number in range(rows)],
            [NOW - DAY] * rows,
            prediction=pa.array(truth + error),
            kind=pa.array(kind),
        )
        return table.append_column("label", pa.array(truth))

    monitor = Monitor(estimate=(EstimateWatch(metric="mean_absolute_error", margin=0.3, min_rows=500),))
    look = Look(
        monitor, "prices", Problem(task=Regression()), sample_of(of(1_500, 0.1), Regression(), ("kind",)), by_day, ("kind",)
    )
    look.add(of(1_000, 0.6))
    [number] = look.held
    report = look.report(number, window(number, Calendar.DAY))
    [finding] = report.findings
    assert finding.state is State.BREACH and report.estimates[0].value == pytest.approx(0.6 * 2.4 + 0.4 * 0.4, rel=0.25)


def test_inputs_are_numbers_for_an_estimate_and_a_value_that_nobody_knew_is_another():
    columns = {"c": pa.array(["b", "new", None]), "x": pa.array([1, None, 3])}
    found = encoded(columns, ("c", "x", "gone"), {"c": pa.array(["a", "b"])}, 3)
    np.testing.assert_array_equal(found, [[1, 1, np.nan], [2, np.nan, np.nan], [np.nan, 3, np.nan]])


def test_an_error_is_the_distance_or_what_the_true_class_lacks():
    numbers = Labelled(np.array([1.0, 3.0]), np.array([0.5, 5.0]), np.arange(2, dtype=np.uint64))
    assert errors(numbers).tolist() == [0.5, 2.0]
    classes = Labelled(np.array([1.0]), np.array([[0.25, 0.75]]), np.arange(1, dtype=np.uint64))
    assert errors(classes).tolist() == [0.25]


def test_several_classes_are_looked_at_as_well():
    random = np.random.default_rng(0)
    chances = random.dirichlet([2, 1], 1_500)
    table = predictions([f"c{number}" for number in range(1_500)], [NOW - DAY] * 1_500, prediction=pa.array(chances.tolist()))
    table = table.append_column("label", pa.array((random.random(1_500) < chances[:, 1]).astype(float)))
    task = Multiclass(classes=("a", "b"))
    monitor = Monitor(
        quality=(QualityWatch(limit=0.5),), bias=BiasWatch(), estimate=(EstimateWatch(metric="f1_macro", margin=0.1),)
    )
    look = Look(monitor, "letters", Problem(task=task), sample_of(table, task, ()), by_day)
    look.add(table)
    [number] = look.held
    assert {finding.state for finding in look.report(number, window(number, Calendar.DAY)).findings} == {State.OK}


def test_first_answers_have_no_labels_and_what_needs_them_is_unknown_whatever_the_task():
    random = np.random.default_rng(0)
    chances = random.dirichlet([2, 1], 300)
    table = predictions([f"c{number}" for number in range(300)], [NOW - DAY] * 300, prediction=pa.array(chances.tolist()))
    table = table.append_column("label", pa.array((random.random(300) < chances[:, 1]).astype(float)))
    first = Labelled(np.full(300, np.nan), chances, np.arange(300, dtype=np.uint64))
    monitor = Monitor(
        quality=(QualityWatch(metric="accuracy", margin=0.1, min_rows=100),),
        estimate=(EstimateWatch(metric="accuracy", margin=0.1, min_rows=100),),
        concept_drift=(ConceptDriftWatch(),),
    )
    look = Look(monitor, "letters", Problem(task=Multiclass(classes=("a", "b"))), first, by_day)
    look.add(table)
    [number] = look.held
    found = look.report(number, window(number, Calendar.DAY)).findings
    assert [finding.state for finding in found] == [State.UNKNOWN] * 3
    assert "there are no labels" in found[1].text and "the reference has 0 numbers" in found[2].text


def test_windows_of_rows_are_told_by_their_first_moments_in_any_order():
    moments, there = micros(pa.array([NOW + number * DAY for number in (3, 0, 1, 2, 4)], pa.timestamp("us", "UTC")))
    found = by_count(moments, there, 2, first=7)
    starts, numbers = np.sort(moments)[::2], np.array([7, 8, 9])
    assert within(moments, there, starts, numbers).tolist() == found.numbers.tolist()
    assert within(moments - 10**15, ~there, starts, numbers).tolist() == [OUTSIDE] * 5


def test_what_a_look_rests_on_has_a_finding_of_each_part():
    fine = health("flights", NOW, Reading(rows=10), JoinCounts(predictions=10, labelled=9, labels=9))
    assert [finding.state for finding in fine] == [State.OK] * 3
    assert fine[2].text == "9 of 10 predictions have a label" and fine[0].text == "all files were read, 10 rows"
    odd = JoinCounts(predictions=10, labelled=9, labels=900, unknown=10, premature=2, premature_seconds=60)
    wrong = health("flights", NOW, Reading(unread={"a.parquet": "cut off"}), odd, ahead=3, ahead_seconds=120)
    assert [finding.state for finding in wrong] == [State.BREACH] * 3
    assert "a.parquet is left out: cut off" in wrong[0].text and "120 s in the future" in wrong[1].text
    assert "60 s before their prediction" in wrong[1].text and "of no prediction that was read" in wrong[2].text
    few = odd.model_copy(update={"unknown": 9, "premature": 0})
    assert health("flights", NOW, Reading(), few)[2].state is State.OK, "one in a hundred is a note"
