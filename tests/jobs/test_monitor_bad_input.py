"""Bad input on the whole way of a look: each is said plainly, and the rest of the report stands."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_monitor_job import NEXT, contents, data, receiver, world
from watched_birds import DAY, MONDAY, QUALITY, Watched, birds

from heliostat.data.profiling import DRIFT, profile
from heliostat.data.storage import to_bytes
from heliostat.ml.ground_truth import Label, record
from heliostat.monitoring.state import MonitorState
from heliostat.spec.findings import State
from heliostat.systems.errors import PermanentError

__all__ = ["contents", "data", "receiver", "world"]
ASKED: dict[str, Any] = {
    "quality": [QUALITY], "bias": {"minRows": 100}, "drift": {}, "predictionDrift": {},
    "recency": {"predictionsSeconds": 90_000},
}  # fmt: skip
RIGHT = ("quality/mean_absolute_error", "prediction-bias/ratio", "drift/weight", "drift/kind", "prediction-drift/prediction",
         "recency/predictions", "log/files", "log/clocks", "labels/fit")  # fmt: skip
ROWS = 400


def logged(
    world: Watched, rows: pa.Table | None = None, day: dt.datetime = MONDAY, name: str = "a", **changes: Any
) -> pa.Table:
    """The log of a day with some columns as a test wants them, None for one that is not there; with labels."""
    rows = birds(ROWS, day.day) if rows is None else rows
    world.log(day, rows, name)
    key = f"predictions/birds/date={day:%Y-%m-%d}/{name}.parquet"
    table = pq.read_table(io.BytesIO(world.store.get(key)))
    for column, values in changes.items():
        place = table.column_names.index(column)
        table = table.remove_column(place) if values is None else table.set_column(place, column, values)
    put(world, key, table)
    world.label(day, rows, name=name)
    return table


def put(world: Watched, key: str, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    world.store.put(key, sink.getvalue())


def ids(count: int = ROWS, name: str = "a") -> list[str]:
    return [f"{name}0302-{number}" for number in range(count)]


@dataclass(frozen=True)
class Case:
    """What comes in, what is said of it, and what of the usual findings is no longer right."""

    name: str
    come: Callable[[Watched], Any]
    told: dict[str, tuple[State, str]]
    touched: tuple[str, ...] = ()
    """Findings that may be otherwise than right, beside those that are told."""
    problem: str = ""
    """What is said beside findings."""


def weights(values: Any) -> Callable[[Watched], Any]:
    return lambda world: logged(world, input_weight=pa.array(values))


def of_labels(*given: Label) -> Callable[[Watched], Any]:
    def come(world: Watched) -> None:
        logged(world)
        record(world.address, "birds", given)

    return come


def dated(world: Watched) -> None:
    """Labels that were known before their predictions, and some that will be known tomorrow."""
    logged(world)
    known = [MONDAY - DAY] * 3 + [NEXT + DAY] * 2
    table = pa.table({"request_id": ids(5), "label": [1.0] * 5, "time": pa.array(known, pa.timestamp("us", "UTC"))})
    put(world, "ground-truth/birds/dated.parquet", table)


def cut_off(world: Watched) -> None:
    logged(world)
    logged(world, name="b")
    content = world.store.get("predictions/birds/date=2026-03-02/b.parquet")
    world.store.put("predictions/birds/date=2026-03-02/b.parquet", content[: len(content) // 2])


def ahead(world: Watched) -> None:
    logged(world)
    rows = birds(20, 5)
    logged(world, rows, name="z", time=pa.array([NEXT + dt.timedelta(hours=1)] * 20, pa.timestamp("us", "UTC")))


def twice(world: Watched) -> None:
    table = logged(world)
    names = [*table.column_names, "input_weight"]
    put(
        world,
        "predictions/birds/date=2026-03-02/a.parquet",
        pa.Table.from_arrays([*table.columns, table["input_weight"]], names),
    )


def of_micros(moment: int) -> Callable[[Watched], Any]:
    """A day, and one more file whose rows all have a moment, in microseconds since 1970."""

    def come(world: Watched) -> None:
        logged(world)
        logged(world, birds(20, 5), name="z", time=pa.array([moment] * 20, pa.timestamp("us", "UTC")))

    return come


def labelled_with(**columns: Any) -> Callable[[Watched], Any]:
    def come(world: Watched) -> None:
        logged(world)
        put(world, "ground-truth/birds/others.parquet", pa.table(columns))

    return come


RANDOM = np.random.default_rng(3)
CASES = [
    Case("a column that vanished", lambda world: logged(world, input_weight=None),
         {"drift/weight": (State.BREACH, "missing in every row"), "log/files": (State.BREACH, "no column input_weight")}),
    Case("a column that changed its type", weights([f"{n} kg" for n in range(ROWS)]),
         {"drift/weight": (State.BREACH, "is string and was double")}),
    Case("a column that became constant", weights([2.5] * ROWS), {"drift/weight": (State.BREACH, "every value is 2.5")}),
    Case("a column that is all missing", weights(pa.nulls(ROWS, pa.float64())),
         {"drift/weight": (State.BREACH, "missing in every row")}),
    Case("a column of NaN", weights([float("nan")] * ROWS), {"drift/weight": (State.BREACH, "every value is NaN")}),
    Case("NaN and infinities in a column", weights([float("nan"), float("inf"), -float("inf"), 1.0] * (ROWS // 4)),
         {"drift/weight": (State.BREACH, "300 of 400 values are NaN or infinite, and none was")}),
    Case("NaN and infinities among predictions",
         lambda world: logged(world, prediction_kilometres=pa.array(
             [float("nan"), float("inf"), 1.0, 2.0] * (ROWS // 4))),
         {"prediction-drift/prediction": (State.BREACH, "200 of 400 values are NaN or infinite, and none was")},
         ("quality/mean_absolute_error", "prediction-bias/ratio"),
         "200 of 400 answers in 2026-03-02 have no finite prediction: quality, bias and estimates are without them"),
    Case("a category that explodes",
         lambda world: logged(world, input_kind=pa.array([f"kind {n}" for n in range(ROWS)])),
         {"drift/kind": (State.BREACH, "400 different texts, and there were 2")}),
    Case("labels of requests that never were", of_labels(*(Label(f"nobody-{n}", 1.0) for n in range(7))),
         {"labels/fit": (State.BREACH, "7 labels")}),
    Case("labels twice, the same and others",
         of_labels(*(Label(each, 1e6) for each in ids(1))), {"labels/fit": (State.OK, "1 ")},
         ("quality/mean_absolute_error", "prediction-bias/ratio")),
    Case("labels in the future, and ones from before their predictions", dated, {"log/clocks": (State.BREACH, "future")},
         ("labels/fit", "quality/mean_absolute_error", "prediction-bias/ratio")),
    Case("clocks that are apart", ahead, {"log/clocks": (State.BREACH, "20 rows of the log are up to 3600 s in the future"),
                                             "recency/predictions": (State.BREACH, "clocks are apart")}),
    Case("predictions that are too large to be averaged",
         lambda world: logged(world, prediction_kilometres=pa.array([1e308] * ROWS)),
         {"prediction-bias/ratio": (State.UNKNOWN, "numbers of up to 1e+308 are too large to be averaged")},
         ("quality/mean_absolute_error", "prediction-drift/prediction")),
    Case("predictions whose squares have no sum",
         lambda world: logged(world, prediction_kilometres=pa.array([1e200] * ROWS)),
         {"prediction-bias/ratio": (State.UNKNOWN, "numbers of up to 1e+200 are too large to be averaged")},
         ("quality/mean_absolute_error", "prediction-drift/prediction")),
    Case("a label that is too large to be averaged", labelled_with(request_id=ids(1), label=[1e308]),
         {"prediction-bias/ratio": (State.UNKNOWN, "too large to be averaged")}, ("quality/mean_absolute_error",)),
    Case("a column that is there twice", twice,
         {"drift/weight": (State.BREACH, "missing in every row"), "log/files": (State.BREACH, "no column input_weight")}),
    Case("a time that no calendar has", of_micros(2**62), {"recency/predictions": (State.OK, "1 day")}, ("labels/fit",),
         "20 rows of the log have no time, or none that a calendar has, and are in no window"),
    Case("times of a clock that is not set", of_micros(-62_135_596_800_000_000), {"log/files": (State.OK, "420 rows")}, (),
         "20 rows are older than the first day that is read: clocks are apart"),
    Case("a label of a row that no request has", labelled_with(request_id=ids(1), label=[1.0], row=[2**40]),
         {"labels/fit": (State.OK, "400 of 400")}, (), "1 labels are of rows from 2147483648 on, which no request has"),
    Case("labels that became known when no calendar has a day",
         labelled_with(request_id=ids(2), label=[0.5] * 2, time=pa.array([2**62, -(2**62)], pa.timestamp("us", "UTC"))),
         {"log/clocks": (State.OK, "")}, ("labels/fit",)),
    Case("a log file that is cut off in the middle", cut_off, {"log/files": (State.BREACH, "b.parquet is left out")},
         ("labels/fit",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_said_plainly_and_the_rest_of_the_report_stands(world: Watched, case: Case) -> None:
    case.come(world)
    state = world.look(NEXT, **ASKED)
    found = {key.removeprefix("birds/"): each for key, each in state.findings.items()}
    shown = {key: (str(each.state), each.text) for key, each in found.items()}
    for key, (expected, text) in case.told.items():
        assert key in found, shown
        assert found[key].state is expected and text in found[key].text, shown
    for key in RIGHT:
        if key not in case.told and key not in case.touched:
            assert found[key].state is State.OK, shown
    assert world.report("2026-03-02").rows >= ROWS, "the window has its report"
    assert case.problem in "; ".join(state.problems), state.problems


def test_an_empty_window_is_told_and_the_ones_around_it_are_right(world: Watched) -> None:
    logged(world)
    logged(world, day=MONDAY + 2 * DAY)
    state = world.look(NEXT + 2 * DAY, **ASKED)
    empty = {finding.key.removeprefix("birds/"): finding for finding in world.report("2026-03-03").findings}
    assert {each.state for each in empty.values()} == {State.UNKNOWN}
    assert all("0 " in each.text for each in empty.values())
    assert of(state, "drift/weight").state is of(state, "quality/mean_absolute_error").state is State.OK


def of(state: MonitorState, key: str) -> Any:
    return state.findings[f"birds/{key}"]


@pytest.mark.parametrize("content", [b"no profile", to_bytes(profile(pa.table({"other": [1.0, 2.0]}), DRIFT))])
def test_a_reference_of_another_schema_or_form_is_made_anew(world: Watched, content: bytes) -> None:
    logged(world)
    first = world.look(NEXT, **ASKED)
    key = f"monitors/birds/references/{first.reference}/inputs.arrow"
    kept = world.store.get(key)
    world.store.put(key, content)
    logged(world, day=MONDAY + DAY)
    state = world.look(NEXT + DAY, **ASKED)
    assert of(state, "drift/weight").state is State.OK
    assert state.reference == first.reference and len(world.store.get(key)) == len(kept)


def test_a_state_that_cannot_be_read_is_named_with_what_to_do(world: Watched) -> None:
    logged(world)
    world.look(NEXT, **ASKED)
    *_, newest = sorted(info.key for info in world.store.list("monitors/birds/state/"))
    world.store.put(newest, b'{"looked_at":')
    with pytest.raises(PermanentError, match=r"cannot be read, its newest revision in .*monitors/birds/state: .* Remove that"):
        world.look(NEXT, **ASKED)
    world.store.delete(newest)
    assert world.look(NEXT + DAY, **ASKED).newest_window == "2026-03-03"


@pytest.mark.long
def test_a_million_categories_and_a_hundred_thousand_columns_of_a_log_hold_up_nothing(world: Watched) -> None:
    rows = 1_000_000
    template = birds(ROWS, 2)
    kinds = pa.array([f"kind {number}" for number in range(rows)])
    many = pa.table({"kind": kinds, "weight": template["weight"].take(pa.array(RANDOM.integers(0, ROWS, rows))),
                     "seen": template["seen"].take(pa.array(np.zeros(rows, dtype=int)))})  # fmt: skip
    world.predict = lambda table: np.ones(table.num_rows)
    logged(world, many)
    wide = {f"input_extra_{number}": pa.array([1.0] * 5) for number in range(100_000)}
    few = logged(world, birds(5, 3), name="w")
    put(world, "predictions/birds/date=2026-03-02/w.parquet", pa.table({**{n: few[n] for n in few.column_names}, **wide}))
    every = {
        "quality": [{**QUALITY, "slices": ["kind"]}], "skew": {}, "fragility": {"mostChange": 100.0, "rows": 50},
        "estimate": [{"metric": "mean_absolute_error", "margin": 0.3, "minRows": 100}],
        "feedback": {"key": "kind", "columns": ["weight"]},
        "conceptDrift": [{"detector": "adwin"}, {"detector": "adwin", "of": "prediction"}],
    }  # fmt: skip
    state = world.look(NEXT, **{**ASKED, **every})
    assert of(state, "drift/kind").state is State.BREACH
    for key in ("drift/weight", "log/files", "quality/mean_absolute_error", "concept-drift/error by adwin"):
        assert of(state, key).state is State.OK, of(state, key).text
    for key, text in {"estimate/mean_absolute_error": "have kind that the reference had none of",
                      "skew/schema": "do not fit the contract", "fragility/inputs": "does not predict these rows",
                      "feedback/weight": "3 rows follow another of their key"}.items():  # fmt: skip
        assert of(state, key).state is State.UNKNOWN and text in of(state, key).text, of(state, key).text
    assert world.report("2026-03-02").rows == rows + 5


def test_a_changed_type_is_told_where_metrics_are_estimated_and_the_model_is_asked_again(world: Watched) -> None:
    logged(world, input_weight=pa.array([f"{n} kg" for n in range(ROWS)]))
    estimate = [{"metric": "mean_absolute_error", "margin": 0.3, "minRows": 100}]
    model = {"skew": {}, "fragility": {"mostChange": 100.0, "rows": 50}, "feedback": {"key": "kind", "columns": ["weight"]}}
    state = world.look(NEXT, **ASKED, **model, estimate=estimate)
    estimated = of(state, "estimate/mean_absolute_error")
    assert estimated.state is State.UNKNOWN
    assert "100.0% of the rows have weight that the reference had none of" in estimated.text
    for key in ("skew/schema", "fragility/inputs", "feedback/weight"):
        assert of(state, key).state is State.UNKNOWN, of(state, key).text
    assert of(state, "drift/weight").state is State.BREACH and of(state, "drift/kind").state is State.OK


@pytest.mark.parametrize("huge", [1e308, 1e200])
def test_a_number_too_large_to_be_added_up_stops_no_watch(world: Watched, huge: float) -> None:
    logged(world, input_weight=pa.array([huge] * ROWS), prediction_kilometres=pa.array([huge] * ROWS))
    state = world.look(
        NEXT, **ASKED, skew={}, estimate=[{"metric": "mean_absolute_error", "margin": 0.3, "minRows": 100}],
        fragility={"mostChange": 100.0, "rows": 50}, feedback={"key": "kind", "columns": ["weight"]},
        conceptDrift=[{"detector": "adwin"}, {"detector": "adwin", "of": "prediction"}],
    )  # fmt: skip
    for key in ("drift/weight", "prediction-drift/prediction", "skew/prediction"):
        assert of(state, key).state is State.BREACH, of(state, key).text
    assert of(state, "drift/kind").state is of(state, "skew/kind").state is State.OK
