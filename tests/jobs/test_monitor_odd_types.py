"""Columns of types that have no text of their own, and dates: a look tells what it finds of them, and of all else."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import watched_birds
from packaged import CONTRACT, workload
from test_monitor_bad_input import ASKED, RIGHT, ROWS, logged, of
from test_monitor_job import NEXT, contents, data, receiver, world
from watched_birds import MONDAY, QUALITY, Watched, birds, snapshot

from heliostat.jobs.monitoring import model as monitor_model
from heliostat.spec.findings import State

__all__ = ["contents", "data", "receiver", "world"]
ESTIMATED = [{"metric": "mean_absolute_error", "margin": 0.3, "minRows": 100}]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1.0, 2.0]] * ROWS),
        pa.array([{"name": "duck"}] * ROWS),
        pa.array([b"\xff\xfe"] * ROWS),
        pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float64(), 2)),
        pa.array([[("duck", 1.0)]] * ROWS, pa.map_(pa.string(), pa.float64())),
    ],
    ids=lambda values: str(values.type),
)
def test_a_slice_that_became_a_type_without_texts_costs_nothing_else(world: Watched, values: pa.Array) -> None:
    logged(world, input_kind=values)
    quality = [{**QUALITY, "slices": ["kind"]}]
    state = world.look(NEXT, **{**ASKED, "quality": quality, "estimate": ESTIMATED})
    assert of(state, "drift/kind").state is State.BREACH and "and was string" in of(state, "drift/kind").text
    assert of(state, "estimate/mean_absolute_error").state is State.UNKNOWN
    for key in RIGHT:
        assert key == "drift/kind" or of(state, key).state is State.OK, of(state, key).text
    [found] = world.report("2026-03-02").quality
    [(_, figure)] = found.slices["kind"].items()
    assert figure.rows == ROWS, "all rows are of one value, whatever its text"


def test_an_input_that_is_a_date_is_held_against_itself_on_both_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dated(rows: int, seed: int) -> pa.Table:
        table = birds(rows, seed)
        days = pa.array([dt.date(2013, 7, 9) + dt.timedelta(days=number % 30) for number in range(rows)])
        return table.set_column(table.column_names.index("seen"), "seen", days)

    contract = CONTRACT.format(top="watched_days").replace("seen: dt.datetime", "seen: dt.date")
    contract = contract.replace("dt.datetime(2013, 7, 9, 19, 30)", "dt.date(2013, 7, 9)").replace("T19:30:00", "")
    made = workload(tmp_path / "workload", "watched_days", contract=contract)
    monkeypatch.setattr(watched_birds, "birds", dated)
    monkeypatch.setattr(monitor_model.model_cache, "fetch", lambda *_, whole: made.model)
    shutil.copytree(snapshot(tmp_path / "data", made), tmp_path / "store")
    watched = Watched(tmp_path, made)
    watched.log(MONDAY)
    state = watched.look(NEXT, skew={})
    for key in ("skew/schema", "skew/prediction", "skew/kind", "skew/weight", "skew/seen"):
        assert of(state, key).state is State.OK, of(state, key).text
