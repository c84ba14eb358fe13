"""Fairness by group where it is measured: in an evaluation as the provider's job runs it, beside fairlearn's own figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from test_tasks_end_to_end import World

from heliostat.ml.arrays import ArrayModel
from heliostat.provider.gate import figures_of, judge, with_fairness
from heliostat.spec.fairness import Fairness, FairnessMetric
from heliostat.spec.judging import resolved_gate
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary
from heliostat.spec.workload import Gate

fairlearn = pytest.importorskip("fairlearn.metrics")
ROWS = 3_000
RATIO = FairnessMetric.DEMOGRAPHIC_PARITY_RATIO


class Steep(ArrayModel):
    """A probability that grows with x."""

    def predict(self, columns: Any) -> Any:
        return 1 / (1 + np.exp(-self.arrays["slope"] * np.asarray(columns["x"])))


def fit(features: Any, labels: Any, parameters: Any) -> Steep:
    return Steep({"slope": np.array(1.0)})


def people() -> pa.Table:
    """Of a some sex who are selected less often; one row in ten has no age, and hardly anybody is of the group x."""
    random = np.random.default_rng(5)
    sex = random.choice(["f", "m", "x"], ROWS, p=[0.5, 0.495, 0.005])
    x = random.normal(0, 1, ROWS) - 0.7 * (sex == "f")
    granted = (x + random.normal(0, 1, ROWS) > 0).astype(float)
    age = [None if number % 10 == 0 else ["", "old"][number % 2] for number in range(ROWS)]
    return pa.table({"x": x, "sex": sex, "age": pa.array(age, pa.string()), "granted": granted})


@pytest.fixture
def loans(tmp_path: Path) -> World:
    return World(tmp_path, Problem(task=Binary()), people(), "granted", fit, ("x",))


def checks() -> tuple[Fairness, ...]:
    differences = [
        Fairness(column="sex", metric=each, at_most=0.9, min_rows=50) for each in FairnessMetric if each is not RATIO
    ]
    return (*differences, Fairness(column="sex", metric=RATIO, at_least=0.8, min_rows=50))


def test_a_column_that_no_slice_names_is_compared_and_the_figures_are_fairlearn_s(
    loans: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Gate(fairness=checks(), beat_baseline_by=0.0)
    model = loans.trained("one")
    report = loans.report(monkeypatch, asked, model, None)
    test = loans.snapshot.table("test")
    kept = np.isin(test["sex"].to_pylist(), ("f", "m"))
    truth, sex = test["granted"].to_numpy()[kept], np.array(test["sex"].to_pylist())[kept]
    selected = (loans.scored(model)[0][kept] >= 0.5).astype(int)
    for found in report["candidate"]["fairness"]:
        theirs = getattr(fairlearn, found["metric"])(truth, selected, sensitive_features=sex)
        assert found["value"] == pytest.approx(theirs), found["metric"]
        assert list(found["groups"]) == ["f", "m"] and list(found["leftOut"]) == ["x"]
        for group, rates in found["groups"].items():
            of = sex == group
            assert rates["rows"] == of.sum()
            assert rates["selectionRate"] == pytest.approx(fairlearn.selection_rate(truth[of], selected[of]))
            assert rates["truePositiveRate"] == pytest.approx(fairlearn.true_positive_rate(truth[of], selected[of]))
            assert rates["falsePositiveRate"] == pytest.approx(fairlearn.false_positive_rate(truth[of], selected[of]))
    gate = resolved_gate(asked, loans.problem)
    figures = figures_of("new", report["candidate"], report["metric"])
    assert figures is not None
    verdict = with_fairness(judge(gate, True, figures, None, None), gate, report["candidate"])
    [reason] = verdict.reasons
    assert "demographic_parity_ratio between the groups of sex" in reason and "f: selected" in reason


def test_rows_without_a_value_are_no_group_and_are_counted_and_an_empty_text_is_one(
    loans: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Gate(fairness=(Fairness(column="age", at_most=1, min_rows=50),))
    [found] = loans.report(monkeypatch, asked, loans.trained("one"), None)["candidate"]["fairness"]
    assert sorted(found["groups"]) == ["", "old"] and found["leftOut"] == {}
    assert found["missing"] == loans.snapshot.table("test")["age"].null_count > 0
