"""A monitor's look: windows of the log against the version's own reference, alarms that are told once, whoever is killed."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaged import workload
from watched_birds import DAY, MONDAY, QUALITY, Watched, birds, damaged, receiving, snapshot

from heliostat.jobs import monitor
from heliostat.jobs.monitoring import model as monitor_model
from heliostat.jobs.monitoring.reference import _even_share
from heliostat.ml.datasets import Snapshot
from heliostat.monitoring import deliveries, intervals
from heliostat.packaging.contents import Contents
from heliostat.spec.erasure import key_of
from heliostat.spec.findings import State
from heliostat.systems.errors import PermanentError, RetryableError

NEXT = MONDAY + DAY + dt.timedelta(hours=2)
"""When the window of Monday is over and its grace too."""


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return workload(tmp_path_factory.mktemp("workload"), "watched_herons")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, contents: Contents) -> Path:
    return snapshot(tmp_path_factory.mktemp("data"), contents)


@pytest.fixture
def receiver() -> Iterator[Any]:
    server, thread = receiving()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def world(tmp_path: Path, contents: Contents, data: Path, receiver: Any, monkeypatch: pytest.MonkeyPatch) -> Watched:
    shutil.copytree(data, tmp_path / "store")
    monkeypatch.setattr(monitor_model.model_cache, "fetch", lambda *_, whole: contents.model)
    monkeypatch.setattr(intervals, "_DRAWS", 30)
    return Watched(tmp_path, contents, receiver.server_port)


def breached(state: Any) -> set[str]:
    return {key.removeprefix("birds/") for key, each in state.findings.items() if each.state is State.BREACH}


def test_a_quiet_day_is_looked_at_once_and_nobody_is_told(world: Watched, receiver: Any) -> None:
    world.log(MONDAY)
    world.label(MONDAY)
    asked = {"quality": [QUALITY], "bias": {}, "drift": {}, "predictionDrift": {}, "recency": {"predictionsSeconds": 90_000}}
    early = world.look(MONDAY + DAY, **asked)
    assert early.newest_window == "", "rows may still be on their way"
    state = world.look(NEXT, **asked)
    assert state.newest_window == "2026-03-02"
    assert breached(state) == set()
    found = {key.removeprefix("birds/") for key in state.findings}
    expected = {"quality/mean_absolute_error", "drift/weight", "drift/kind", "prediction-drift/prediction", "log/files"}
    assert {*expected, "recency/predictions"} <= found
    assert "birds/drift/seen" not in state.findings and any("times go on" in text for text in state.problems)
    report = world.report("2026-03-02")
    assert (report.rows, report.labels) == (400, 400)
    assert report.drift is not None and {each.name for each in report.drift.columns} == {"kind", "weight"}
    assert receiver.got == []


def test_labels_that_come_later_have_their_window_looked_at_again(world: Watched, receiver: Any) -> None:
    world.log(MONDAY)
    first = world.look(NEXT, quality=[QUALITY])
    assert first.findings["birds/quality/mean_absolute_error"].state is State.UNKNOWN
    assert world.look(NEXT + dt.timedelta(minutes=5), quality=[QUALITY]).looked == first.looked
    world.label(MONDAY, factor=3.0)
    later = world.look(NEXT + DAY / 2, quality=[QUALITY])
    assert breached(later) == {"quality/mean_absolute_error"}
    [told] = receiver.got
    assert told["event"] == "firing" and told["alarm"]["key"] == "birds/quality/mean_absolute_error"
    world.look(NEXT + DAY / 2 + dt.timedelta(minutes=1), quality=[QUALITY])
    assert len(receiver.got) == 1


def test_inputs_that_changed_are_told_by_column_and_end_when_they_are_as_before(world: Watched, receiver: Any) -> None:
    world.log(MONDAY, birds(400, 2, heavier=2.0))
    state = world.look(NEXT, drift={}, predictionDrift={})
    assert breached(state) == {"drift/weight", "prediction-drift/prediction"}
    world.log(MONDAY + DAY)
    assert breached(world.look(NEXT + DAY, drift={}, predictionDrift={})) == set()
    assert [each["event"] for each in receiver.got] == ["firing", "firing", "resolved", "resolved"]


def test_of_a_large_test_split_an_even_share_is_drawn_without_holding_all_of_it(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = Snapshot(f"datasets/birds/{world.digest}", world.address)
    whole = snapshot.table("test")
    assert _even_share(snapshot, whole.num_rows).equals(whole)
    batches = [whole.slice(first, 300) for first in range(0, whole.num_rows, 300)]
    monkeypatch.setattr(Snapshot, "batches", lambda self, split: iter(batches))
    monkeypatch.delattr(Snapshot, "table")
    chosen = np.sort(np.random.default_rng(0).choice(whole.num_rows, 700, replace=False))
    assert _even_share(snapshot, 700).equals(whole.take(pa.array(chosen)))


def test_a_model_is_tried_on_the_newest_window(world: Watched) -> None:
    world.log(MONDAY)
    asked = {"skew": {}, "fragility": {"mostChange": 1e-6, "rows": 50}, "feedback": {"key": "kind", "columns": ["weight"]}}
    state = world.look(NEXT, **asked)
    assert breached(state) == {"fragility/inputs"}
    assert state.findings["birds/skew/prediction"].state is State.OK
    assert {"birds/skew/schema", "birds/feedback/weight"} <= state.findings.keys()


def test_a_replica_that_answers_otherwise_than_the_model_is_skew(world: Watched) -> None:
    predict = world.predict
    world.predict = lambda table: predict(table) * 1.609
    world.log(MONDAY)
    state = world.look(NEXT, skew={})
    assert breached(state) == {"skew/prediction"}
    assert "1.609 times training" in state.findings["birds/skew/prediction"].text


def squares(columns: Any) -> dict[str, Any]:
    """What the birds' workload makes of a weight."""
    return {"square": np.asarray(columns["weight"]) ** 2}  # serving has it as a list


@pytest.mark.parametrize(
    ("by", "most", "state", "text"),
    [
        ("test_monitor_job:squares", 1e6, State.OK, "after test_monitor_job:squares serving has what the schema expects"),
        (
            "test_monitor_job:squares",
            1e-6,
            State.BREACH,
            "after test_monitor_job:squares, the column 'square': 400 rows are above",
        ),
        ("test_monitor_job:gone", 1e6, State.UNKNOWN, "the transformation test_monitor_job:gone cannot be loaded"),
    ],
)
def test_what_serving_is_given_after_the_transformation_is_held_to_the_schema(
    world: Watched, by: str, most: float, state: State, text: str
) -> None:
    world.log(MONDAY)
    expected = {"by": by, "columns": {"square": {"type": "double", "maximum": most}}}
    monitor.watch(world.specification(NEXT, skew={}).model_copy(update={"transformed": expected}))
    found = world.state.findings["birds/skew/transformed"]
    assert found.state is state
    assert text in found.text


def test_windows_of_so_many_rows_are_closed_once_and_keep_their_rows(world: Watched) -> None:
    windows = {"kind": "count", "rows": 300}
    world.log(MONDAY)
    state = world.look(NEXT, windows=windows, drift={})
    assert [(each.rows) for each in state.closed.values()] == [300]
    world.log(MONDAY + DAY)
    world.log(MONDAY, name="late", rows=birds(20, 5))
    state = world.look(NEXT + DAY, windows=windows, drift={})
    assert sorted(state.closed) == [0, 1]
    assert any("15 rows came after their window was full" in text for text in state.problems)


def test_without_a_log_there_is_nothing_to_tell_but_that(world: Watched) -> None:
    asked: dict[str, Any] = {"drift": {}, "recency": {"predictionsSeconds": 60, "labelsSeconds": 60}}
    assert breached(world.look(NEXT, **asked)) == set(), "it was declared a moment ago: nothing can be there yet"
    state = world.look(NEXT + dt.timedelta(seconds=61), **asked)
    assert breached(state) == {"recency/predictions", "recency/labels"}
    assert state.newest_window == ""


def test_a_damaged_file_and_one_of_another_contract_cost_themselves_alone(world: Watched) -> None:
    world.store.put("predictions/birds/date=2026-03-02/old.parquet", old_contract(world))
    world.store.put("predictions/birds/date=2026-03-02/cut.parquet", b"PAR1 and no more")
    world.log(MONDAY)
    state = world.look(NEXT, drift={})
    assert breached(state) == {"log/files"}
    assert "cut.parquet is left out" in state.findings["birds/log/files"].text
    assert "no column weight that can be read" in state.findings["birds/log/files"].text
    assert world.report("2026-03-02").rows == 430, "what the others hold stands"


def test_columns_that_no_file_has_are_looked_for_in_some_files_of_a_day_and_one_that_an_older_file_has_is_told(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_in, read_schema = list[Path](), pq.read_schema
    monkeypatch.setattr(pq, "read_schema", lambda path: looked_in.append(path) or read_schema(path))
    for number in range(30):
        name = f"{number:02}"
        world.log(MONDAY, birds(20, 2), name=name)
        path = world.store.root / f"predictions/birds/date=2026-03-02/{name}.parquet"
        lacking = ["input_kind", "input_weight"] if number < 29 else ["input_kind"]  # the last one that is read
        pq.write_table(pq.read_table(path).drop_columns(lacking), path)
        os.utime(path, (NEXT.timestamp() - number,) * 2)
    state = world.look(NEXT, drift={})
    assert [path.stem for path in looked_in] == [f"{number:02}" for number in range(10)]
    assert breached(state) == {"drift/kind", "drift/weight", "log/files"}
    assert "30 files have no column" in state.findings["birds/log/files"].text
    assert world.report("2026-03-02").rows == 600


def test_what_is_watched_no_more_is_neither_wrong_nor_told(world: Watched, receiver: Any) -> None:
    world.log(MONDAY, birds(400, 2, heavier=2.0))
    world.look(NEXT, drift={}, predictionDrift={})
    assert len(receiver.got) == 2
    state = world.look(NEXT + dt.timedelta(hours=1), predictionDrift={})
    assert breached(state) == {"prediction-drift/prediction"}
    assert {key for key, alarm in state.alarms.alarms.items() if alarm.is_open} == {"birds/prediction-drift/prediction"}
    assert len(receiver.got) == 2


def test_a_sink_that_is_away_is_told_later_and_once(world: Watched, receiver: Any) -> None:
    world.log(MONDAY, birds(400, 2, heavier=2.0))
    receiver.status = 503
    state = world.look(NEXT, drift={})
    assert [each.attempts for each in state.outbox.waiting] == [1]
    receiver.status = 200
    state = world.look(NEXT + dt.timedelta(minutes=1), drift={})
    assert len(receiver.got) == 1 and state.outbox.waiting == ()


def old_contract(world: Watched) -> bytes:
    """A file from when weights were words."""
    world.log(MONDAY, birds(30, 3), name="old")
    key = "predictions/birds/date=2026-03-02/old.parquet"
    table = pq.read_table(io.BytesIO(world.store.get(key)))
    place = table.column_names.index("input_weight")
    buffer = io.BytesIO()
    pq.write_table(table.set_column(place, "input_weight", pa.array(["heavy"] * 30)), buffer)
    return buffer.getvalue()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(14))
def test_killed_at_any_write_the_next_look_tells_each_alarm_and_none_twice(
    world: Watched, receiver: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    world.log(MONDAY, birds(400, 2, heavier=2.0))
    put, left = type(world.store).put, [step]

    def dying(self: Any, key: str, data: bytes, **more: Any) -> bool:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return put(self, key, data, **more)

    with monkeypatch.context() as patched:
        patched.setattr(type(world.store), "put", dying)
        with contextlib.suppress(Killed):
            world.look(NEXT, drift={}, predictionDrift={})
    monkeypatch.setattr(deliveries, "SENDING", dt.timedelta(0))  # the next look comes later than that
    state = world.look(NEXT + dt.timedelta(minutes=1), drift={}, predictionDrift={})
    assert {each["id"].partition("@")[0] for each in receiver.got} == {
        "birds/drift/weight", "birds/prediction-drift/prediction",
    }  # fmt: skip
    assert len({each["id"] for each in receiver.got}) == 2, "what is sent again is known by its id"
    assert state.outbox.waiting == ()
    assert breached(state) == {"drift/weight", "prediction-drift/prediction"}


def test_a_look_that_read_rows_of_a_person_who_is_deleted_meanwhile_keeps_nothing(
    world: Watched, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.look(NEXT - DAY, drift={})  # the reference is there
    world.log(MONDAY, birds(400, 2, heavier=2.0))
    plain = monitor.look

    def erased_meanwhile(*given: Any) -> Any:
        found = plain(*given)
        world.store.put(key_of("birds", "e" * 32), b"{}")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(monitor, "look", erased_meanwhile)
        with pytest.raises(RetryableError, match="look again"):
            world.look(NEXT, drift={})
    assert not [info.key for info in world.store.list("monitors/birds/windows/")] and receiver.got == []
    assert breached(world.look(NEXT + dt.timedelta(minutes=1), drift={})) == {"drift/weight"}


def test_an_answer_without_the_declared_field_is_told(world: Watched) -> None:
    with pytest.raises(PermanentError, match=r"no field 'miles' for monitor.field: it has kilometres"):
        world.look(NEXT, drift={}, bias={}, field="miles")


def test_a_reference_is_made_once_for_a_version(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look(NEXT, drift={}, quality=[QUALITY])
    monkeypatch.setattr(monitor_model.Answering, "answers", lambda *_: pytest.fail("it is there"))
    first = world.state
    assert world.look(NEXT + DAY, drift={}, quality=[QUALITY]).reference == first.reference


@pytest.mark.parametrize("name", ["labelled", "inputs"])
def test_a_damaged_reference_is_told_and_made_anew_and_nothing_of_it_is_read(
    world: Watched, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    first = world.look(NEXT, drift={}, quality=[QUALITY])
    (key,) = (info.key for info in world.store.list("monitors/birds/") if info.key.endswith(f"/{name}.arrow"))
    whole = world.store.get(key)
    world.store.put(key, damaged(whole))
    state = world.look(NEXT + DAY, drift={}, quality=[QUALITY])
    told = capsys.readouterr().out
    assert f"{key.rpartition('/')[0]} cannot be read, and is made anew: " in told
    assert "are not those that were written" in told
    assert state.reference == first.reference and world.store.get(key) == whole


def test_seasons_of_the_training_data_are_no_drift(world: Watched) -> None:
    world.log(MONDAY, birds(400, 2, heavier=1.15))
    asked = {"drift": {"numbers": {"distance": "kolmogorov-smirnov", "least": 0.01}, "alpha": 0.2}}
    assert breached(world.look(NEXT, **asked)) == {"drift/weight"}
    asked["drift"]["season"] = "seen"
    windows = {"kind": "calendar", "every": "hour"}
    world.log(MONDAY, birds(400, 2, heavier=1.15), name="b")
    state = world.look(NEXT + dt.timedelta(minutes=1), windows=windows, **asked)
    assert "drift/weight" not in breached(state)
