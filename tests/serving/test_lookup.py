"""Answers from predictions that were made beforehand: how old they are is told, and what is missing is the model's."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from serving_fakes import ROW, Log, Told, body, call, contract, version

from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.lookup import opening
from heliostat.serving.lookup.application import LookupApplication
from heliostat.serving.lookup.predictor import LookupPredictor
from heliostat.serving.lookup.table import LookupTable
from heliostat.serving.postprocessing import Steps
from heliostat.serving.queue.__main__ import open_answers
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.batch import Lookup
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.predictions import Current, Result, ResultPart, current_key, table_key
from heliostat.spec.rollouts import ServingArguments
from heliostat.systems import databases
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory

NAME, MODEL = "halves-nightly", "models:/halves/3"
WHEN = 1_373_398_200
"""2013-07-09T19:30:00, as predictors see it."""
KEY = ("kind", "size", "when")
PREDICTED: dict[tuple[Any, ...], Any] = {("a", 4.0, WHEN): 100.25, ("b", 5.0, WHEN): 0.1 + 0.2}


class World:
    """A store with results, and applications that answer from them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.log = folder, Directory(folder / "store"), Log()
        self.tables: list[LookupTable] = []

    def result(
        self, rows: dict[tuple[Any, ...], Any], age: float = 5.0, key: tuple[str, ...] = KEY, model: str = MODEL
    ) -> None:
        """Put a result there, as a run does."""
        run = hashlib.sha256(repr(sorted(rows.items())).encode()).hexdigest()[:32]
        path = self.folder / f"{run}.sqlite"
        if not path.exists():
            columns = [list(column) for column in zip(*rows, strict=True)]
            values = [json.dumps(each) if isinstance(each, list) else each for each in rows.values()]
            databases.write_sqlite(path, key, ["prediction"], [[*columns, values]])
        self.store.put_file(table_key(NAME, run), path)
        part = ResultPart(key="batches/x", source="0" * 64, rows=len(rows))
        found = Result(
            name=NAME, application="halves", run=run, model_uri=model, predictor="0" * 64, data="1" * 64, rows=len(rows),
            parts=(part,), key=key, table=table_key(NAME, run), table_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )  # fmt: skip
        current = Current(result=found, at=time.time() - age)
        self.store.put(current_key(NAME, model), current.model_dump_json().encode())

    def table(self, model: str = MODEL) -> LookupTable:
        table = LookupTable(self.store, NAME, model, self.folder / "node")
        self.tables.append(table)
        return table

    def application(
        self, settings: dict[str, Any] | None = None, given: Any = None, steps: Steps | None = None
    ) -> LookupApplication:
        made = given or contract()
        lookup = Lookup.model_validate({"batch": NAME, "refreshSeconds": 3600, **(settings or {})})
        table = self.table()
        predictor = LookupPredictor(made.predictor(), table, lookup)
        log: Any = self.log
        plane = DataPlane(made, predictor, version(lookup=lookup), log, steps)
        return LookupApplication(plane, "/halves", predictor, table, lookup)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = World(tmp_path)
    yield world
    for table in world.tables:
        table.close()


async def test_a_row_that_was_predicted_is_answered_with_that_and_its_age(world: World) -> None:
    world.result(PREDICTED, age=65)
    answer = await call(world.application(), "POST", "/predict", body())
    assert (answer.status, answer.json) == (200, {"score": 100.25})
    assert 65 <= int(answer.headers["x-heliostat-age"]) < 120
    assert len(world.log.entries) == 1, "it is logged as any answer"


async def test_what_was_not_predicted_is_the_model_s_answer_without_an_age(world: World) -> None:
    world.result(PREDICTED)
    answer = await call(world.application(), "POST", "/predict", body(size=6.0))
    assert answer.json == {"score": 3.0}
    assert "x-heliostat-age" not in answer.headers


async def test_rows_of_one_request_are_answered_each_from_where_it_is(world: World) -> None:
    world.result(PREDICTED)
    rows = [ROW, {**ROW, "size": 6.0}, {**ROW, "kind": "b", "size": 5.0}]
    answer = await call(world.application(), "POST", "/predict", json.dumps({"rows": rows}).encode())
    assert answer.json == {"rows": [{"score": 100.25}, {"score": 3.0}, {"score": 0.1 + 0.2}]}
    assert "x-heliostat-age" in answer.headers


async def test_a_request_that_is_answered_in_a_thread_tells_its_own_age(world: World) -> None:
    world.result(PREDICTED, age=100)
    app = world.application()
    rows = json.dumps({"rows": [ROW] * 200}).encode()
    others = json.dumps({"rows": [{**ROW, "size": 6.0}] * 200}).encode()
    aged, fresh = await asyncio.gather(*(call(app, "POST", "/predict", each) for each in (rows, others)))
    assert int(aged.headers["x-heliostat-age"]) >= 100
    assert "x-heliostat-age" not in fresh.headers


async def test_what_is_too_old_is_asked_of_the_model(world: World) -> None:
    world.result(PREDICTED, age=100)
    answer = await call(world.application({"maxAgeSeconds": 60}), "POST", "/predict", body())
    assert answer.json == {"score": 2.0}
    assert "x-heliostat-age" not in answer.headers


async def test_without_a_model_behind_it_what_is_missing_or_too_old_is_refused_plainly(world: World) -> None:
    app = world.application({"missing": "refuse"})
    nothing = await call(app, "POST", "/predict", body())
    assert (nothing.status, "no model is asked" in nothing.json["detail"]) == (404, True)
    world.result(PREDICTED, age=100)
    app = world.application({"missing": "refuse", "maxAgeSeconds": 60})
    old = await call(app, "POST", "/predict", body())
    assert (old.status, "at most 60 s" in old.json["detail"]) == (503, True)
    missing = await call(app, "POST", "/predict", json.dumps({"rows": [{**ROW, "size": 6.0}]}).encode())
    assert missing.status == 404
    assert len(world.log.entries) == 0


async def test_a_key_is_looked_up_by_its_columns(world: World) -> None:
    world.result(PREDICTED, age=10)
    app = world.application()
    found = await call(app, "GET", "/lookup", query=b"kind=a&size=4&when=2013-07-09T19:30:00")
    assert found.status == 200
    assert found.json["answer"] == {"score": 100.25}
    assert 10 <= found.json["ageSeconds"] < 60
    asked = {
        b"kind=a&size=7&when=2013-07-09T19:30:00": (404, "nothing was predicted for kind=a, size=7"),
        b"kind=a&size=4": (422, "give kind=..., size=..., when=..., and nothing else"),
        b"kind=c&size=4&when=2013-07-09T19:30:00": (422, "Input should be 'a' or 'b'"),
    }
    for query, (status, told) in asked.items():
        refused = await call(app, "GET", "/lookup", query=query)
        assert refused.status == status
        assert told in json.dumps(refused.json)


async def test_a_key_that_is_no_field_of_the_contract_is_looked_up_and_predicted_rows_are_the_model_s(world: World) -> None:
    world.result({(7,): 1.5}, key=("ring",))
    app = world.application()
    assert (await call(app, "GET", "/lookup", query=b"ring=7")).json["answer"] == {"score": 1.5}
    assert (await call(app, "POST", "/predict", body())).json == {"score": 2.0}
    refusing = world.application({"missing": "refuse"})
    assert (await call(refusing, "POST", "/predict", body())).status == 404


async def test_a_lookup_of_what_is_too_old_or_not_there_yet_is_503(world: World) -> None:
    app = world.application({"maxAgeSeconds": 60})
    assert (await call(app, "GET", "/lookup", query=b"ring=7")).status == 503
    world.result({(7,): 1.5}, age=100, key=("ring",))
    world.tables[-1].refresh()
    answer = await call(app, "GET", "/lookup", query=b"ring=7")
    assert (answer.status, "at most 60 s are answered" in answer.json["detail"]) == (503, True)


STEPS = """
def cap(rows, answers, given):
    return [answer.model_copy(update={"score": 1.0}) if row.kind == "a" else answer for row, answer in zip(rows, answers)]

def by_time(rows, answers, given):
    return [answer for row, answer in zip(rows, answers) if row.when]
"""


@pytest.fixture
def capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a step of these."""
    (tmp_path / "lookup_steps.py").write_text(STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lookup_steps", raising=False)
    return lambda name: Steps([PostprocessingStep(name="s", function=f"lookup_steps:{name}")], lambda _: "", Told)


async def test_steps_come_behind_what_was_predicted_whether_rows_are_asked_or_keys(world: World, capped: Any) -> None:
    world.result(PREDICTED)
    app = world.application(steps=capped("cap"))
    assert (await call(app, "POST", "/predict", body())).json == {"score": 1.0}
    found = await call(app, "GET", "/lookup", query=b"kind=a&size=4&when=2013-07-09T19:30:00")
    assert found.json["answer"] == {"score": 1.0}
    world.result({("a", 4.0): 7.0}, key=("kind", "size"))
    app = world.application(steps=capped("by_time"))
    assert (await call(app, "POST", "/predict", body())).status == 200
    refused = await call(app, "GET", "/lookup", query=b"kind=a&size=4")
    assert refused.status == 500, "a key does not tell all of a row, and nothing gets past a step"
    assert "the post-processing step s failed" in refused.json["detail"]


async def test_openapi_has_the_lookup(world: World) -> None:
    world.result(PREDICTED)
    document = (await call(world.application(), "GET", "/openapi.json")).json
    assert [each["name"] for each in document["paths"]["/halves/lookup"]["get"]["parameters"]] == list(KEY)
    assert "/halves/predict" in document["paths"]


async def test_golden_requests_are_asked_as_any(world: World) -> None:
    world.result(PREDICTED)
    failed = await call(world.application(), "POST", "/-/golden")
    assert failed.json["failures"][0]["name"] == "half"
    world.result({("a", 4.0, WHEN): 2.0})
    assert (await call(world.application(), "POST", "/-/golden")).json == {"passed": 2}


def test_a_newer_result_is_taken_and_the_older_file_goes(world: World) -> None:
    world.result(PREDICTED)
    table = world.table()
    assert table.find(("a", 4.0, WHEN)) is not None
    world.result({("a", 4.0, WHEN): 7.0}, age=1)
    table.refresh()
    found = table.find(("a", 4.0, WHEN))
    assert found is not None
    assert found.value == 7.0
    assert len(list((world.folder / "node").iterdir())) == 1
    before = found.at
    world.result({("a", 4.0, WHEN): 7.0}, age=0)
    table.refresh()
    again = table.find(("a", 4.0, WHEN))
    assert again is not None
    assert again.at > before, "the same rows were found again later"


def test_a_store_that_is_away_leaves_what_there_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.result(PREDICTED)
    table = world.table()

    def away(key: str) -> bytes:
        raise RetryableError("away")

    monkeypatch.setattr(world.store, "get", away)
    with pytest.raises(RetryableError):
        table.refresh()
    assert table.find(("a", 4.0, WHEN)) is not None


def test_a_file_that_is_not_what_its_manifest_says_is_not_taken(world: World) -> None:
    world.result(PREDICTED)
    (place,) = (world.store.root / "batches" / NAME / "results").glob("*/table.sqlite")
    place.write_bytes(place.read_bytes() + b"x")
    with pytest.raises(RetryableError, match="has the SHA-256"):
        world.table()


def test_the_results_of_another_model_version_are_none(world: World) -> None:
    world.result(PREDICTED, model="models:/halves/2")
    assert world.table().find(("a", 4.0, WHEN)) is None


def test_a_result_without_a_table_is_told(world: World) -> None:
    world.result(PREDICTED)
    place = current_key(NAME, MODEL)
    current = Current.model_validate_json(world.store.get(place))
    bare = current.model_copy(update={"result": current.result.model_copy(update={"table": ""})})
    world.store.put(place, bare.model_dump_json().encode())
    with pytest.raises(PermanentError, match=r"give it `sink: \{kind: sqlite\}`"):
        world.table()


def test_numbers_that_are_none_and_several_numbers_a_row_come_back(world: World) -> None:
    world.result({("a",): float("nan"), ("b",): 1.0}, key=("kind",))
    found = world.table().find(("a",))
    assert found is not None
    assert found.value != found.value
    world.result({("a",): [0.25, 0.75]}, key=("kind",))
    several = world.table().find(("a",))
    assert several is not None
    assert several.value == [0.25, 0.75]


def test_a_replica_looks_again_by_itself_until_it_is_closed(world: World) -> None:
    world.result(PREDICTED)
    table, looked, twice = world.table(), list[int](), Event()

    def look() -> None:
        looked.append(1)
        if len(looked) == 2:
            twice.set()
        raise RetryableError("away")

    table.follow(0.001, look)
    assert twice.wait(30), "a store that is away is asked again"
    table.close()


def worker(world: World, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> DataPlane:
    """What a worker of tasks answers with."""
    made = contract()
    monkeypatch.setattr(opening, "loaded", lambda version: (made, made.predictor()))
    lookup = Lookup.model_validate({"batch": NAME, "refreshSeconds": 3600, **settings})
    declared = version(lookup=lookup, model_uri=MODEL, store=StoreAddress(uri=f"file://{world.folder / 'store'}"))
    return open_answers(
        ServingArguments(
            application="halves", route_prefix="/_/halves/blue", public_path="/halves", replicas=1, cpus_per_replica=1,
            max_ongoing_requests=8, version=declared, spool=str(world.folder),
        )
    )  # fmt: skip


async def test_a_task_is_answered_from_where_a_request_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.result(PREDICTED)
    plane = worker(world, monkeypatch)
    rows = json.dumps({"rows": [ROW, {**ROW, "size": 6.0}]}).encode()
    asked = await call(world.application(), "POST", "/predict", rows)
    assert plane.predict(Call(b"a-task", replayed=False), rows, time.perf_counter()) == asked.body
    assert asked.json == {"rows": [{"score": 100.25}, {"score": 3.0}]}
    plane.close()


def test_a_task_without_a_prediction_is_refused_where_a_request_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.result(PREDICTED)
    plane = worker(world, monkeypatch, missing="refuse")
    with pytest.raises(HttpError, match="nothing was predicted"):
        plane.predict(Call(b"a-task", replayed=False), body(size=6.0), time.perf_counter())
    plane.close()
