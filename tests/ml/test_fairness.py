"""Fairness by group: measured by fairlearn, held against values reckoned by hand, and a reason to refuse a candidate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml.tasks import fairness
from heliostat.provider import gate
from heliostat.provider.gate import Verdict, with_fairness
from heliostat.spec.fairness import Fairness, FairnessMetric
from heliostat.spec.judging import gate_mistakes
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Regression
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError

FINE = Verdict("roc_auc", (), "well")
# Of a: 10 rows, 5 true; selected 4 of the true and 1 of the false. Of b: 10 rows, 5 true; selected 2 and 0. c is small.
LABELS = np.array([1.0] * 5 + [0.0] * 5 + [1.0] * 5 + [0.0] * 5 + [1.0])
SCORES = np.array([0.9] * 4 + [0.1] + [0.8] + [0.1] * 4 + [0.9] * 2 + [0.1] * 3 + [0.1] * 5 + [0.9])
TABLE = pa.table({"sex": ["a"] * 10 + ["b"] * 10 + ["c"]})


def check(metric=FairnessMetric.EQUALIZED_ODDS, limit=0.1, **changes):
    side = "at_least" if metric.is_ratio else "at_most"
    return Fairness(**{"column": "sex", "metric": metric, side: limit, "min_rows": 5, **changes})


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (FairnessMetric.DEMOGRAPHIC_PARITY, 0.5 - 0.2), (FairnessMetric.DEMOGRAPHIC_PARITY_RATIO, 0.2 / 0.5),
        (FairnessMetric.EQUALIZED_ODDS, 0.8 - 0.4), (FairnessMetric.EQUAL_OPPORTUNITY, 0.8 - 0.4),
    ],
)  # fmt: skip
def test_each_metric_is_what_is_reckoned_by_hand(metric, value):
    pytest.importorskip("fairlearn")
    [found] = fairness.measured(TABLE, LABELS, SCORES, [check(metric)])
    assert found["value"] == pytest.approx(value)
    assert found["groups"]["a"] == pytest.approx(
        {"rows": 10, "positives": 5, "selectionRate": 0.5, "truePositiveRate": 0.8, "falsePositiveRate": 0.2}
    )
    assert found["leftOut"] == {"c": 1}


def test_a_group_without_a_label_that_a_rate_is_a_share_of_is_not_compared_by_it():
    """fairlearn tells a rate of no rows as 0, which would be a difference of 0.8 that nobody made."""
    pytest.importorskip("fairlearn")
    table = pa.table({"sex": ["a"] * 10 + ["b"] * 10 + ["d"] * 10})
    labels, scores = np.concatenate([LABELS[:20], np.zeros(10)]), np.concatenate([SCORES[:20], SCORES[10:20]])
    [odds, parity] = fairness.measured(table, labels, scores, [check(), check(FairnessMetric.DEMOGRAPHIC_PARITY)])
    assert odds["value"] == pytest.approx(0.4) and odds["oneLabel"] == {"d": 10}
    assert (odds["groups"]["d"]["truePositiveRate"], odds["groups"]["d"]["falsePositiveRate"]) == (None, 0.2)
    assert parity["value"] == pytest.approx(0.3) and parity["oneLabel"] == {}
    [alone] = fairness.measured(table.slice(10), labels[10:], scores[10:], [check()])
    verdict = with_fairness(FINE, Gate(fairness=(check(),)), {"fairness": [alone]})
    assert "all rows of d have one label" in verdict.reasons[0]


def test_nobody_selected_is_no_ratio_and_said_as_that():
    pytest.importorskip("fairlearn")
    ratio = check(FairnessMetric.DEMOGRAPHIC_PARITY_RATIO, 0.8, threshold=0.99)
    [found] = fairness.measured(TABLE, LABELS, SCORES, [ratio])
    assert found["value"] is None and len(found["groups"]) == 2
    verdict = with_fairness(FINE, Gate(fairness=(ratio,)), {"fairness": [found]})
    assert verdict.reasons[0].endswith("cannot be told: nobody is selected at the threshold of 0.99")


def test_the_threshold_decides_who_is_selected():
    pytest.importorskip("fairlearn")
    [found] = fairness.measured(TABLE, LABELS, SCORES, [check(FairnessMetric.DEMOGRAPHIC_PARITY, threshold=0.95)])
    assert found["value"] == 0


def test_labels_of_no_two_classes_are_refused_and_no_check_needs_nothing():
    assert fairness.measured(TABLE, LABELS * 3, SCORES, []) == []
    pytest.importorskip("fairlearn")
    with pytest.raises(PermanentError, match="not 0 and 1"):
        fairness.measured(TABLE, LABELS * 3, SCORES, [check()])


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PermanentError, match=r"heliostat\[fairness\]"):
        fairness.measured(TABLE, LABELS, SCORES, [check()])


def test_a_column_without_a_value_and_one_of_a_group_a_row_are_told_and_no_row_is_compared():
    pytest.importorskip("fairlearn")
    columns = {"sex": pa.nulls(21), "id": pa.array(range(21))}
    by_nothing, by_row = (check(column=column) for column in columns)
    [nothing, alone] = fairness.measured(pa.table(columns), LABELS, SCORES, [by_nothing, by_row])
    assert (nothing["value"], nothing["groups"], nothing["leftOut"], nothing["missing"]) == (None, {}, {}, 21)
    assert (alone["value"], alone["groups"], len(alone["leftOut"]), alone["missing"]) == (None, {}, 21, 0)


def test_of_very_many_small_groups_the_largest_are_named_and_the_others_counted():
    pytest.importorskip("fairlearn")
    groups = ["big"] * 3 + [f"of one {number}" for number in range(9_997)]
    labels, scores = np.tile([0.0, 1.0], 5_000), np.linspace(0, 1, 10_000)
    [found] = fairness.measured(pa.table({"sex": groups}), labels, scores, [check()])
    assert len(found["leftOut"]) == 100 and found["leftOut"]["big"] == 3 and found["leftOutGroups"] == 9_998
    verdict = with_fairness(FINE, Gate(fairness=(check(),)), {"fairness": [found]})
    assert "big (3 rows)" in verdict.reasons[0] and f"and {9_998 - gate._MOST_ROWS:,} more" in verdict.reasons[0]


def test_a_candidate_that_differs_too_much_is_refused_with_the_groups_and_one_that_does_not_passes():
    told = {"value": 0.4, "groups": {"a": {"selectionRate": 0.5}, "b": {"selectionRate": None}}}
    refused = with_fairness(FINE, Gate(fairness=(check(),)), {"fairness": [told]})
    assert not refused.accepted
    assert refused.reasons == (
        "equalized_odds_difference between the groups of sex is 0.4000, at most 0.1 is taken (a: selected 50.0%; "
        "b: selected unknown)",
    )  # fmt: skip
    assert refused.reasons[0] in refused.table()
    assert with_fairness(FINE, Gate(fairness=(check(limit=0.4),)), {"fairness": [told]}).accepted
    ratio = check(FairnessMetric.DEMOGRAPHIC_PARITY_RATIO, 0.8)
    assert not with_fairness(FINE, Gate(fairness=(ratio,)), {"fairness": [told]}).accepted
    assert with_fairness(FINE, Gate(fairness=(ratio,)), {"fairness": [{**told, "value": 0.9}]}).accepted


def test_what_cannot_be_compared_is_no_pass_and_no_check_changes_nothing():
    alone = {"value": None, "groups": {}, "leftOut": {"b": 3}}
    verdict = with_fairness(FINE, Gate(fairness=(check(),)), {"fairness": [alone]})
    assert "cannot be told" in verdict.reasons[0] and "b (3 rows)" in verdict.reasons[0]
    assert not with_fairness(FINE, Gate(fairness=(check(),)), {}).accepted, "a report of an earlier release has none"
    assert with_fairness(FINE, Gate(), {}) is FINE


@pytest.mark.parametrize("given", [{}, {"at_least": 0.8}, {"at_most": 0.1, "at_least": 0.8}])
def test_a_difference_is_held_to_the_most_that_it_may_be(given):
    with pytest.raises(ValueError, match="held to `atMost`"):
        Fairness(column="sex", **given)


def test_a_task_that_selects_nobody_is_told_with_its_path():
    asked = Gate(fairness=(check(),))
    assert [path for path, _ in gate_mistakes(asked, Problem(task=Regression()))] == [("fairness", 0)]
    assert list(gate_mistakes(asked, Problem(task=Binary()))) == []
