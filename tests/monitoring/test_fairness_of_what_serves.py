"""Fairness by group of what serves: fairlearn's figures, bounds that chance does not cross, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from heliostat.monitoring.fairness import GroupFairness, fairness, large_groups
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.looking import Look
from heliostat.monitoring.other_versions import judged_by_labels
from heliostat.monitoring.sampling import Labelled
from heliostat.monitoring.windows import window
from heliostat.spec.fairness import FairnessMetric
from heliostat.spec.fairness_watches import FairnessWatch
from heliostat.spec.findings import Aspect, State
from heliostat.spec.monitors import Monitor, mistakes_of
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Regression
from heliostat.spec.watches import Calendar, CountWindows
from tests.monitoring.logs import NOW
from tests.monitoring.test_monitor_look import by_day, joined

RATIO = FairnessMetric.DEMOGRAPHIC_PARITY_RATIO
PARITY = FairnessMetric.DEMOGRAPHIC_PARITY
JUDGE = Judge("loans", "2026-02", NOW)


def watch(metric=FairnessMetric.EQUALIZED_ODDS, limit=0.1, **given):
    return FairnessWatch(
        **{"column": "sex", "metric": metric, "at_least" if metric.is_ratio else "at_most": limit, "min_rows": 30} | given
    )


def people(rows=4_000, seed=0, groups=("f", "m", "x"), gap=0.2, weights=None, requests=None):
    """Of the first group fewer are selected."""
    random = np.random.default_rng(seed)
    sex = random.choice(groups, rows)
    labels = (random.random(rows) < 0.4).astype(float)
    scores = np.clip(random.random(rows) * 0.85 + 0.2 * labels - gap * (sex == groups[0]), 0, 1)
    requests = np.arange(rows) if requests is None else requests
    given = {"weights": weights} if weights is not None else {}
    return Labelled(labels, scores, requests.astype(np.uint64), {"sex": pa.array(sex)}, **given)


def state_of(found, asked):
    return JUDGE.fairness(found, asked).state


@pytest.mark.parametrize("metric", list(FairnessMetric))
@pytest.mark.parametrize("groups", [("f", "m"), ("f", "m", "x"), tuple("abcdefghij")])
def test_each_figure_and_each_rate_is_fairlearn_s(metric, groups):
    theirs = pytest.importorskip("fairlearn.metrics")
    labelled = people(groups=groups)
    found = fairness(labelled, watch(metric))
    sex, selected = np.array(labelled.columns["sex"]), (labelled.predictions >= 0.5).astype(float)
    expected = getattr(theirs, metric.value)(labelled.labels, selected, sensitive_features=sex)
    assert found.value.value == pytest.approx(expected) and found.value.low <= expected <= found.value.high
    for group, rates in found.groups.items():
        of = sex == group
        assert rates.rows == of.sum()
        for name, rate in (
            ("selection_rate", rates.selection_rate), ("true_positive_rate", rates.true_positive_rate),
            ("false_positive_rate", rates.false_positive_rate),
        ):  # fmt: skip
            assert rate.value == pytest.approx(getattr(theirs, name)(labelled.labels[of], selected[of])), (group, name)
            assert rate.low < rate.value < rate.high


def test_rows_of_a_review_count_by_their_chance_as_fairlearn_s_weights_do():
    theirs = pytest.importorskip("fairlearn.metrics")
    weights = np.random.default_rng(2).choice([1.0, 5.0, 20.0], 4_000)
    labelled = people(weights=weights)
    found, even = fairness(labelled, watch()), fairness(people(), watch())
    selected = (labelled.predictions >= 0.5).astype(float)
    expected = theirs.equalized_odds_difference(
        labelled.labels, selected, sensitive_features=np.array(labelled.columns["sex"]), sample_weight=weights
    )
    assert found.value.value == pytest.approx(expected) and found.weighed and not even.weighed
    assert found.value.high - found.value.low > even.value.high - even.value.low, "rows that count differently tell less"
    assert "chosen for review" in JUDGE.fairness(found, watch()).text
    parity = [fairness(each, watch(PARITY)).value for each in (labelled, people())]
    assert parity[0] == parity[1], "everybody is in the log: who is selected needs no label, and no weight"


def test_of_two_groups_the_interval_is_newcombe_s():
    """Newcombe (1998), method 10: 56 of 70 and 48 of 80 differ by 0.2, of which 95 % are 0.0524 to 0.3339."""
    sex = np.array(["a"] * 70 + ["b"] * 80)
    selected = np.array([1.0] * 56 + [0.0] * 14 + [1.0] * 48 + [0.0] * 32)
    labelled = Labelled(np.full(150, np.nan), selected, np.arange(150, dtype=np.uint64), {"sex": pa.array(sex)})
    value = fairness(labelled, watch(PARITY)).value
    assert (value.value, value.low, value.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    rate = fairness(labelled, watch(PARITY, confidence=0.9)).groups["a"].selection_rate
    expected = stats.binomtest(56, 70).proportion_ci(0.95, "wilson")  # two groups share what 90 % leave to chance
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high))


def test_a_ratio_is_wrong_where_the_shares_are_surely_too_far_apart():
    """The bound is where a difference of one rate and so many times the other would be none by the same method."""
    rows = people(20_000)
    found = fairness(rows, watch(RATIO))
    low, high = fairness(rows, watch(RATIO, confidence=0.5)).value.low, fairness(rows, watch(RATIO, confidence=0.5)).value.high
    assert found.value.low < low < found.value.value < high < found.value.high < 1
    assert state_of(found, watch(RATIO, found.value.high + 0.01)) is State.BREACH
    assert state_of(found, watch(RATIO, found.value.high - 0.01)) is State.OK


def test_groups_that_are_alike_alarm_no_oftener_than_is_declared_and_a_real_difference_does():
    alarms, seen, naive = 0, 0, 0
    for seed in range(100):
        alike = fairness(people(2_000, seed, tuple("abcdefghij"), gap=0), watch(PARITY, limit=0.0))
        alarms += state_of(alike, watch(PARITY, limit=0.0)) is State.BREACH
        naive += alike.value.value > 0.05
        seen += state_of(fairness(people(4_000, seed), watch(PARITY)), watch(PARITY)) is State.BREACH
    assert alarms <= stats.binom.ppf(0.999, 100, 0.05) and naive > 75 and seen > 95


def test_rows_of_one_request_tell_as_much_as_one_where_they_are_alike():
    alone = people(400)
    together = Labelled(
        np.repeat(alone.labels, 10), np.repeat(alone.predictions, 10), np.repeat(alone.requests, 10),
        {"sex": pa.array(np.repeat(np.array(alone.columns["sex"]), 10))},
    )  # fmt: skip
    one, ten = (fairness(each, watch(PARITY)).value for each in (alone, together))
    assert ten.value == pytest.approx(one.value)
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.02)
    few = fairness(people(4_000, requests=np.arange(4_000) // 1_000), watch(PARITY)).value
    assert few.high - few.low > 0.5, "four requests tell hardly anything"


def test_a_small_group_is_named_and_never_alarms():
    labelled = people(2_000, gap=0)
    sex = np.array(labelled.columns["sex"], dtype=object)
    sex[:20], selected = "tiny", labelled.predictions.copy()
    selected[:20] = 1.0
    rows = Labelled(labelled.labels, selected, labelled.requests, {"sex": pa.array(sex)})
    found = fairness(rows, watch(PARITY))
    assert found.small == {"tiny": 20} and "tiny" not in found.groups
    finding = JUDGE.fairness(found, watch(PARITY))
    assert finding.state is State.OK and "too small to be compared: tiny (20 rows)" in finding.text
    asked = watch(PARITY, min_rows=1)
    assert fairness(rows, asked).value.value > 0.3, "the group is as far away as it is"
    one = sex.copy()
    one[:20], one[0] = "m", "one"
    alone = Labelled(labelled.labels, selected, labelled.requests, {"sex": pa.array(one)})
    assert fairness(alone, watch(PARITY)).small == {"one": 1}
    assert state_of(fairness(alone, asked), asked) is State.OK, "one row is no proof"


def test_a_group_without_a_label_that_a_rate_needs_is_compared_by_what_it_has():
    labelled = people()
    labels = np.where(np.array(labelled.columns["sex"]) == "x", 0.0, labelled.labels)
    rows = Labelled(labels, labelled.predictions, labelled.requests, labelled.columns)
    odds, parity = fairness(rows, watch()), fairness(rows, watch(PARITY))
    assert odds.one_label == ("x",) and odds.compared == 2 and odds.groups["x"].true_positive_rate is None
    assert parity.compared == 3 and parity.one_label == ()


def test_without_labels_selection_is_told_and_the_rest_is_not():
    rows = people()
    unlabelled = Labelled(np.full(len(rows), np.nan), rows.predictions, rows.requests, rows.columns)
    assert fairness(unlabelled, watch(PARITY)).value == fairness(rows, watch(PARITY)).value
    odds = JUDGE.fairness(fairness(unlabelled, watch()), watch())
    assert odds.state is State.UNKNOWN and odds.text == "there are no labels"


def rows_of(sex, labels=None, scores=None):
    count = len(sex)
    labels = np.arange(count) % 2.0 if labels is None else labels
    scores = np.linspace(0, 1, count) if scores is None else scores
    return Labelled(labels, scores, np.arange(count, dtype=np.uint64), {"sex": sex} if sex is not None else {})


TWO = pa.array(["f", "m"] * 50)


@pytest.mark.parametrize(
    ("rows", "metric", "reason"),
    [
        (rows_of(pa.array([], pa.string())), PARITY, "there are no predictions"),
        (rows_of(pa.array(["f"] * 100)), PARITY, "of two groups or more with 30 rows there is 1"),
        (rows_of(pa.array(["f"] * 99 + ["m"])), PARITY, "too small to be compared: m (1 row)"),
        (rows_of(pa.nulls(100)), PARITY, "no row of the log has a value of 'sex'"),
        (rows_of(pa.array([["f"]] * 100)), PARITY, "is list<item: string>: groups are of one value each"),
        (rows_of(TWO, labels=np.arange(100) % 3.0), FairnessMetric.EQUALIZED_ODDS, "labels are not 0 and 1 alone: 2"),
        (rows_of(TWO, labels=np.ones(100)), FairnessMetric.EQUALIZED_ODDS, "without both labels: f, m"),
        (rows_of(TWO, scores=np.zeros(100)), RATIO, "nobody is selected at the threshold of 0.5"),
        (rows_of(TWO, scores=np.linspace(0, 9, 100)), PARITY, "no probabilities"),
        (Labelled(np.zeros(9), np.zeros((9, 3)), np.arange(9, dtype=np.uint64)), PARITY, "no probabilities"),
        (Labelled(np.zeros(9), np.zeros(9), np.arange(9, dtype=np.uint64)), PARITY, "the log has no input 'sex'"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_unknown_with_its_reason(rows, metric, reason):
    finding = JUDGE.fairness(fairness(rows, watch(metric)), watch(metric))
    assert finding.state is State.UNKNOWN and reason in finding.text and finding.aspect is Aspect.FAIRNESS


def test_labels_that_are_no_classes_do_not_keep_selection_from_being_told():
    found = fairness(rows_of(TWO, labels=np.arange(100) % 3.0), watch(PARITY))
    assert found.value is not None and found.groups["f"].true_positive_rate is None


def test_a_group_that_vanished_is_named_and_those_that_are_left_are_compared():
    there, now = large_groups(people(), watch(PARITY)), people(groups=("f", "m"))
    found = fairness(now, watch(PARITY), there)
    assert list(found.gone) == ["x"] and found.compared == 2
    assert "gone: x (" in JUDGE.fairness(found, watch(PARITY)).text
    alone = JUDGE.fairness(fairness(people(groups=("f",)), watch(PARITY), there), watch(PARITY))
    assert alone.state is State.UNKNOWN and "there is 1; gone: " in alone.text
    assert fairness(now, watch(PARITY), large_groups(now, watch(PARITY))).gone == {}


def test_ten_thousand_groups_are_counted_and_cost_no_more_than_those_that_are_compared():
    random = np.random.default_rng(4)
    sex = pa.array([f"g{number}" for number in random.integers(0, 10_000, 50_000)])
    rows = rows_of(sex, scores=random.random(50_000))
    found = fairness(rows, watch(PARITY, min_rows=500))
    assert found.value is None and found.small_groups == len(set(sex.to_pylist())) and len(found.small) == 20
    assert f"and {found.small_groups - 5:,} more" in found.reason and len(found.reason) < 300
    every = fairness(rows, watch(PARITY, min_rows=1))
    assert every.compared == 1_000 and every.left + 1_000 == found.small_groups and len(every.groups) <= 102
    assert state_of(every, watch(PARITY)) is State.OK and len(every.model_dump_json()) < 60_000


def test_numbers_and_yes_and_no_are_groups_too_and_rows_without_a_value_are_none():
    ages = pa.array([None if place % 10 == 0 else 20 + 10 * (place % 2) for place in range(400)])
    found = fairness(rows_of(ages), watch(PARITY))
    assert set(found.groups) == {"20", "30"} and found.missing == 40
    assert set(fairness(rows_of(pa.array([True, False] * 50)), watch(PARITY)).groups) == {"true", "false"}


def test_a_window_has_it_beside_the_rest_and_a_monitor_without_it_has_nothing():
    asked = FairnessWatch(column="carrier", at_most=0.05, min_rows=30)
    reports = {}
    for name, monitor in {
        "with": Monitor(fairness=(asked,)), "without": Monitor(estimate=({"metric": "accuracy", "margin": 0.1},))
    }.items():  # fmt: skip
        table = joined(1_000, days=1)
        look = Look(monitor, "flights", Problem(task=Binary()), people(), by_day)
        look.add(table)
        [number] = look.held
        reports[name] = look.report(number, window(number, Calendar.DAY))
    [finding] = reports["with"].findings
    assert finding.key == "flights/fairness/equalized_odds_difference by carrier" and finding.state is State.OK
    assert type(reports["with"]).model_validate_json(reports["with"].model_dump_json()) == reports["with"]
    assert isinstance(reports["with"].fairness[0], GroupFairness)
    assert "fairness" not in reports["without"].model_dump_json()


def test_mistakes_are_told_with_their_paths():
    monitor = Monitor(windows=CountWindows(rows=100), fairness=(watch(min_rows=500), watch(limit=0.2)))
    told = {each.path: each.text for each in mistakes_of(monitor, Problem(task=Regression()), ("carrier",))}
    assert "selects nobody" in told["fairness", 0]
    assert "watched twice" in told["fairness", 1] or "selects nobody" in told["fairness", 1]
    assert "no input 'sex'" in told["fairness", 0, "column"] and "a window has 100" in told["fairness", 0, "minRows"]
    assert mistakes_of(Monitor(fairness=(watch(),)), Problem(task=Binary()), ("sex",)) == []
    with pytest.raises(ValueError, match="held to `atMost`"):
        Monitor.model_validate({"fairness": [{"column": "sex"}]})


def test_of_a_version_that_does_not_serve_late_labels_tell_what_needs_labels_alone():
    monitor = Monitor(fairness=(watch(), watch(PARITY)))
    assert [each.metric for each in judged_by_labels(monitor).fairness] == [FairnessMetric.EQUALIZED_ODDS]
