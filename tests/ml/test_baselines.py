"""A baseline of each task: what it answers, and that it is the same once it was kept."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml.contracts import columns_of
from heliostat.ml.tasks.baselines import Baseline
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import (
    Binary,
    Embedding,
    Forecasting,
    Free,
    Multiclass,
    Multilabel,
    Quantiles,
    Ranking,
    Regression,
    Task,
)
from heliostat.systems.errors import PermanentError

DAY = dt.datetime(2024, 1, 1)


def days(*numbers: int) -> list[dt.datetime]:
    return [DAY + dt.timedelta(days=number) for number in numbers]


@pytest.mark.parametrize(
    ("task", "label", "others", "answers"),
    [
        (Binary(), [True, True, True, False], {}, [0.75] * 4),
        (Multiclass(classes=("a", "b", "c")), ["a", "b", "b", "b"], {}, [[0.25, 0.75, 0.0]] * 4),
        (Multilabel(labels=("a", "b")), [["a"], ["a", "b"], [], ["a"]], {}, [[0.75, 0.25]] * 4),
        (Regression(), [1.0, 2.0, 3.0, 6.0], {}, [3.0] * 4),
        (Quantiles(levels=(0.5, 1 - 1e-9)), [0.0, 1.0, 2.0, 3.0], {}, [[1.5, pytest.approx(3.0)]] * 4),
        (Embedding(dimensions=2), [[1.0, 0.0], [3.0, 2.0]], {}, [[2.0, 1.0]] * 2),
        (Ranking(group="q"), [1.0, 0.0], {"q": [1, 1]}, [0.0, 0.0]),
        (Ranking(group="q", item="i"), [1.0, 0.0, 3.0], {"q": [1, 1, 2], "i": ["x", "y", "x"]}, [2.0, 0.0, 2.0]),
        (Forecasting(time="t"), [1.0, 2.0, 5.0], {"t": days(0, 1, 2)}, [5.0, 5.0, 5.0]),
    ],
)
def test_a_baseline_answers_alike_before_and_after_it_is_kept(
    task: Task, label: Any, others: Any, answers: Any, tmp_path: Path
) -> None:
    table = pa.table({"y": label, "x": range(len(label)), **others})
    columns = columns_of(table.drop_columns(["y"]))
    baseline = Baseline.fit(task, table, "y")
    assert baseline.predict(columns).tolist() == answers
    baseline.save(tmp_path)
    assert np.array_equal(Baseline.load(tmp_path).predict(columns), baseline.predict(columns))
    if len(set(map(str, label))) > 1:
        Evaluation(Problem(task=task), table, "y").overall(baseline.predict(columns))


def test_a_seasonal_baseline_repeats_each_series_by_the_time_that_is_asked_for() -> None:
    task = Forecasting(time="t", series=("shop", "till"), season=3)
    rows = [("a", 1, number, float(number % 3)) for number in range(7)] + [("b", 1, number, 10.0) for number in range(5)]
    shop, till, time, label = zip(*rows, strict=True)
    table = pa.table({"shop": shop, "till": till, "t": days(*time), "y": label}).take(pa.array(range(len(rows) - 1, -1, -1)))
    baseline = Baseline.fit(task, table, "y")
    asked = {"shop": ["a"] * 4 + ["b", "new"], "till": [1] * 6, "t": days(7, 8, 9, 12, 5, 5)}
    columns = columns_of(pa.table(asked))
    assert baseline.predict(columns).tolist() == [1.0, 2.0, 0.0, 0.0, 10.0, 5.0]


def test_a_series_of_months_keeps_its_months_for_years() -> None:
    months = [dt.datetime(2000 + number // 12, number % 12 + 1, 1) for number in range(120)]
    table = pa.table({"t": months, "y": [float(number % 12) for number in range(120)]})
    baseline = Baseline.fit(Forecasting(time="t", season=12), table, "y")
    later = [dt.datetime(2010 + number // 12, number % 12 + 1, 1) for number in range(48)]
    assert baseline.predict(columns_of(pa.table({"t": later}))).tolist() == [float(number % 12) for number in range(48)]


def test_what_has_no_baseline_says_so(tmp_path: Path) -> None:
    table = pa.table({"y": ["a"]})
    with pytest.raises(PermanentError, match="no baseline for the task free"):
        Baseline.fit(Free(), table, "y")
    with pytest.raises(PermanentError, match="needs rows"):
        Baseline.fit(Regression(), pa.table({"y": pa.array([], pa.float64())}), "y")
    with pytest.raises(ValueError, match=r"holds no baseline\.json"):
        Baseline.load(tmp_path)
