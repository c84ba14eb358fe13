"""A training that continues from a model measures what it kept; a tuning picks the best of what it tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml.arrays import ArrayModel
from heliostat.ml.datasets import Snapshot, Tables, save
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.places import Places
from heliostat.ml.previous import Previous, ValidationSplit, kept_knowledge
from heliostat.ml.training import RESUMABLE_FOLDER, Context, Trained, finished, resumable
from heliostat.ml.tuning import AllTrialsFailedError, chosen, tuned
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Regression
from heliostat.spec.training_report import Trial
from heliostat.spec.tuning import Tuning, Uniform
from heliostat.systems.objects import open_store


class Line(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return np.asarray(columns["x"]) * float(self.arrays["slope"])


def line(slope: float) -> Line:
    return Line({"slope": np.array(slope)})


def snapshot(store: StoreAddress, slope: float) -> Snapshot:
    x = np.arange(8.0)
    table = pa.table({"x": x, "y": x * slope})
    manifest = save(Tables(table, table, table, "y"), "lines", open_store(store), task=Regression())
    return Snapshot(f"datasets/lines/{manifest['digest']}", store)


def test_both_models_are_measured_on_the_old_data_and_on_the_new(tmp_path: Path) -> None:
    store = StoreAddress(uri=f"file://{tmp_path}")
    old, new = snapshot(store, 1.0), snapshot(store, 2.0)
    previous = Previous("models:/lines/1", tmp_path, line(1.0), old, "d" * 64)
    found = kept_knowledge(previous, line(1.5), ValidationSplit(new, Problem(task=Regression())))
    assert (found.metric, found.before, found.old_data) == ("r2", "models:/lines/1", "d" * 64)
    assert found.before_on_old == 1.0
    assert found.after_on_old < 1.0, "it forgot some of what that knew"
    assert found.before_on_new < found.after_on_new < 1.0


class Here(Context):
    """One worker without Ray, whose `tried` says what was trained."""

    tried: tuple[float, ...] = ()


def context(tmp_path: Path, data: Snapshot | None = None, **changes: Any) -> Here:
    store = StoreAddress(uri=f"file://{tmp_path}")
    given: dict[str, Any] = {"places": Places(store, "trainings/t/d.workers"), **changes}
    data = data or Snapshot("datasets/nowhere/0", store)
    return Here({"x": 0.0, "other": 7}, data, 0, 1, 1, (), MetricLogger("", ""), **given)


def tuning(trials: int = 6) -> Tuning:
    return Tuning(trials=trials, metric="r2", space={"x": Uniform(kind="uniform", low=0.0, high=6.0)})


def test_the_best_parameters_are_taken_and_no_trial_is_repeated(tmp_path: Path) -> None:
    seen: list[float] = []

    def train(given: Context) -> None:
        assert given.parameters["other"] == 7
        assert not given.is_over_budget()
        given.checkpoint(lambda folder: None, {})
        x = float(given.parameters["x"])
        seen.append(x)
        if x > 5:
            raise ValueError("too far")
        given.finish(Trained(line(x).save, Line, {"r2": 1 - (x - 3) ** 2}))

    first = context(tmp_path)
    tuned(first, train, tuning())
    assert seen[0] == 0.0
    assert len(seen) == 6
    best = min((x for x in seen if x <= 5), key=lambda x: abs(x - 3))
    assert first.parameters == {"x": best, "other": 7}
    assert [trial.value is None for trial in first.trials] == [x > 5 for x in seen]
    again = context(tmp_path)
    tuned(again, train, tuning())
    assert len(seen) == 6, "what an attempt before has tried is known"
    assert again.parameters == first.parameters


def test_what_a_trial_says_that_read_personal_columns_stands_in_no_report(tmp_path: Path) -> None:
    store, table = (
        StoreAddress(uri=f"file://{tmp_path}"),
        pa.table({"x": ["ada.lovelace@example.org"] * 8, "y": np.arange(8.0)}),
    )
    made = save(Tables(table, table, table, "y"), "people", open_store(store), more={"personal": ["x"]})
    here = context(tmp_path, Snapshot(f"datasets/people/{made['digest']}", store))

    def train(given: Context) -> None:
        pa.array(given.dataset.table("train")["x"].to_pylist(), pa.int64())

    with pytest.raises(AllTrialsFailedError, match="ArrowInvalid: what it says may quote personal values, and is not told"):
        tuned(here, train, tuning(2))
    kept = [path.read_text() for path in tmp_path.rglob("trials/*/*") if path.is_file()]
    assert len(kept) == 2 and not any("lovelace" in each for each in kept)


def test_with_half_of_the_budget_gone_only_what_is_declared_is_tried(tmp_path: Path) -> None:
    late = context(tmp_path, seconds_limit=10.0, seconds_before=6.0)
    tuned(late, lambda given: given.finish(Trained(line(1.0).save, Line, {"r2": 0.5})), tuning())
    assert len(late.trials) == 1


def test_of_equal_trials_the_first_is_taken_and_the_metric_says_which_way() -> None:
    trials = [Trial(parameters={"x": n}, value=value) for n, value in enumerate([2.0, float("nan"), 1.0, 2.0])]
    assert [each.chosen for each in chosen(trials, "r2", True)] == [True, False, False, False]
    assert [each.chosen for each in chosen(trials, "log_loss", False)] == [False, False, True, False]


def test_trials_that_all_fail_end_the_training_with_their_errors() -> None:
    with pytest.raises(AllTrialsFailedError, match="none of 2 trials ended with a figure of r2: ValueError: no"):
        chosen([Trial(parameters={"x": n}, value=None, error="ValueError: no") for n in range(2)], "r2", True)


def test_a_result_is_final_but_for_one_that_a_budget_ended_and_that_has_more(tmp_path: Path) -> None:
    assert not finished(None)
    assert not finished(tmp_path)
    assert resumable(tmp_path) == tmp_path
    (tmp_path / "result.json").write_text('{"metrics": {}}')
    assert finished(tmp_path, None)
    assert resumable(tmp_path) is None
    (tmp_path / "result.json").write_text('{"metrics": {}, "endedByBudget": 60.0}')
    assert finished(tmp_path, 60.0)
    assert not finished(tmp_path, 61.0)
    assert not finished(tmp_path, None)
    (tmp_path / RESUMABLE_FOLDER).mkdir()
    assert resumable(tmp_path) == tmp_path / RESUMABLE_FOLDER
