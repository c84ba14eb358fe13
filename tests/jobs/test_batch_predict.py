"""Predictions made beforehand: once for each row, whoever is killed, and as the service would answer."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaged import workload

from heliostat.jobs import batch_predict
from heliostat.jobs.batch import parts as batch_parts
from heliostat.jobs.batch import rows as batch_rows
from heliostat.jobs.batch.parts import Predicting
from heliostat.packaging.contents import Contents
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.batch import BatchRun, QuerySource
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import Current
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import Directory

ROWS = 1000


class Cluster:
    """Predicts in this process, and remembers how often; `dies_after` parts it is killed."""

    def __init__(self) -> None:
        self.predicted = 0
        self.dies_after: int | None = None

    def __call__(self, specification: BatchSpecification, parts: list[Any]) -> Iterator[dict[str, Any]]:
        for part in parts:
            if self.predicted == self.dies_after:
                raise KeyboardInterrupt
            yield Predicting(specification.model_dump_json())(part.as_row())
            self.predicted += 1


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return workload(tmp_path_factory.mktemp("workload"), "herons")


@pytest.fixture
def cluster(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(batch_predict, "_in_workers", cluster)
    monkeypatch.setattr(batch_parts.model_cache, "fetch", lambda *_, whole: contents.model)
    monkeypatch.setattr(batch_parts, "lower_priority", lambda: None)
    return cluster


def birds(rows: int = ROWS, seed: int = 1) -> pa.Table:
    draw = np.random.default_rng(seed)
    began = dt.datetime(2013, 7, 9)
    return pa.table(
        {
            "kind": pa.array(draw.choice(["duck", "goose"], rows)),
            "weight": pa.array(draw.gamma(2, 2, rows) + 0.01),
            "seen": pa.array([began + dt.timedelta(minutes=n) for n in range(rows)], pa.timestamp("ms")),
            "ring": pa.array(range(rows)),
            "label": pa.array(draw.random(rows)),
        }
    )


class World:
    """A store, and rows in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Directory(folder / "store")
        (folder / "rows").mkdir()

    def rows(self, table: pa.Table, name: str = "a", group: int = 100) -> None:
        pq.write_table(table, self.folder / "rows" / f"{name}.parquet", row_group_size=group)

    def specification(self, **changes: Any) -> BatchSpecification:
        given = {
            "name": "nightly", "application": "birds", "contract": "herons.contract:CONTRACT", "code_digest": "c" * 64,
            "model_uri": "models:/birds/3", "source": {"kind": "parquet", "uri": f"file://{self.folder}/rows"},
            "sink": {"kind": "parquet"}, "key": ["ring"], "columns": [], "run": BatchRun(batch_rows=64, part_rows=250),
            "store": StoreAddress(uri=f"file://{self.folder}/store"), "tracking_uri": "http://mlflow", **changes,
        }  # fmt: skip
        return BatchSpecification.model_validate(given)

    @property
    def current(self) -> Current:
        return Current.model_validate_json(self.store.get("batches/nightly/current/birds-3.json"))

    def predicted(self) -> pa.Table:
        return pa.concat_tables(pq.read_table(self.store.root / part.key) for part in self.current.result.parts)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def expected(contents: Contents, table: pa.Table) -> list[float]:
    """What the service would answer, row by row."""
    predictor = contents.contract.predictor.load(contents.model)
    names = list(contents.contract.row.model_fields)
    rows = [contents.contract.row(**row) for row in table.select(names).to_pylist()]
    return [float(predictor.predict(contents.contract.columns([row]))[0]) for row in rows]


def test_each_row_is_predicted_once_as_the_service_would_answer_it(world: World, cluster: Cluster, contents: Contents) -> None:
    table = birds()
    world.rows(table.slice(0, 700), "a")
    world.rows(table.slice(700), "b")
    batch_predict.predict(world.specification(columns=["kind"]))
    found = world.predicted()
    assert found.column_names == ["ring", "kind", "prediction"]
    assert found["ring"].to_pylist() == list(range(ROWS))
    assert found["prediction"].to_pylist() == expected(contents, table)
    result = world.current.result
    assert [part.rows for part in result.parts] == [300, 300, 100, 300]
    assert (result.rows, result.model_uri, result.name) == (ROWS, "models:/birds/3", "nightly")


def test_the_same_again_predicts_nothing_and_is_newer(world: World, cluster: Cluster) -> None:
    world.rows(birds())
    batch_predict.predict(world.specification())
    first, predicted = world.current, cluster.predicted
    batch_predict.predict(world.specification())
    assert cluster.predicted == predicted
    assert world.current.at > first.at
    assert world.current.result == first.result


def test_a_run_that_began_earlier_and_ends_later_leaves_the_newer_result(world: World, cluster: Cluster) -> None:
    world.rows(birds())
    batch_predict.predict(world.specification())
    newer = world.current.model_copy(update={"at": world.current.at + 3_600})
    world.store.put("batches/nightly/current/birds-3.json", newer.model_dump_json().encode())
    world.rows(birds(200, 2), "b")
    batch_predict.predict(world.specification(result_key="asked/a.json"))
    assert world.current == newer
    own = Current.model_validate_json(world.store.get("asked/a.json"))
    assert own.result.rows == ROWS + 200, "who asked for this run is told of its own result"


@pytest.mark.parametrize("dies_after", [0, 1, 3])
def test_killed_after_any_part_the_next_run_does_the_others_alone(world: World, cluster: Cluster, dies_after: int) -> None:
    world.rows(birds())
    cluster.dies_after = dies_after
    with pytest.raises(KeyboardInterrupt):
        batch_predict.predict(world.specification())
    assert not world.store.exists("batches/nightly/current/birds-3.json")
    cluster.dies_after = None
    batch_predict.predict(world.specification())
    assert cluster.predicted == 4
    assert world.predicted()["ring"].to_pylist() == list(range(ROWS))


def test_a_file_more_is_all_that_is_predicted_anew_and_another_model_predicts_all(world: World, cluster: Cluster) -> None:
    world.rows(birds(), "a")
    batch_predict.predict(world.specification())
    world.rows(birds(200, seed=2), "b")
    batch_predict.predict(world.specification())
    assert cluster.predicted == 5
    assert world.current.result.rows == ROWS + 200
    batch_predict.predict(world.specification(model_uri="models:/birds/4"))
    assert cluster.predicted == 10
    batch_predict.predict(world.specification(code_digest="d" * 64))
    assert cluster.predicted == 15


def test_a_snapshot_s_split_is_a_source(world: World, cluster: Cluster) -> None:
    key = f"datasets/birds/{'d' * 64}"
    folder = world.store.root / key
    folder.mkdir(parents=True)
    (folder / "test").mkdir()
    pq.write_table(birds(30), folder / "test.parquet")
    pq.write_table(birds(30, seed=5), folder / "test" / "part-00001.parquet")
    pq.write_table(birds(50), folder / "test" / "part-00002.parquet")
    (folder / "manifest.json").write_text(json.dumps({"files": {"test": ["test.parquet", "test/part-00001.parquet"]}}))
    batch_predict.predict(world.specification(source={"kind": "snapshot", "split": "test"}, dataset_key=key))
    assert world.current.result.rows == 60, "what a killed writer left is none of it"
    (folder / "manifest.json").write_text("{}")
    batch_predict.predict(world.specification(source={"kind": "snapshot", "split": "test"}, dataset_key=key))
    assert world.current.result.rows == 30, "snapshots of an earlier release have a file a split"


def database(path: Path, table: pa.Table) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (ring, kind, weight, seen)")
        rows = [(row["ring"], row["kind"], row["weight"], row["seen"].isoformat()) for row in table.to_pylist()]
        connection.executemany("INSERT INTO birds VALUES (?, ?, ?, ?)", rows)


def test_the_rows_of_a_query_are_kept_and_predicted(world: World, cluster: Cluster, contents: Contents) -> None:
    table = birds()
    database(world.folder / "birds.sqlite", table)
    where = {"kind": "sqlite", "path": str(world.folder / "birds.sqlite")}
    source = {"kind": "query", "database": where, "query": "SELECT * FROM birds WHERE ring < 600 ORDER BY ring"}
    batch_predict.predict(world.specification(source=source))
    assert world.predicted()["prediction"].to_pylist() == expected(contents, table.slice(0, 600))
    predicted = cluster.predicted
    batch_predict.predict(
        world.specification(source={**source, "query": "SELECT * FROM birds WHERE ring < 800 ORDER BY ring"})
    )
    assert cluster.predicted - predicted < predicted, "the rows that were there before are found by their content"


def test_a_column_of_a_query_that_is_empty_at_first_is_kept_with_what_it_has_later(world: World, contents: Contents) -> None:
    database(world.folder / "birds.sqlite", birds())
    where = {"kind": "sqlite", "path": str(world.folder / "birds.sqlite")}
    query = "SELECT *, CASE WHEN ring < 300 THEN NULL ELSE 'n' || ring END AS name FROM birds WHERE ring < 600 ORDER BY ring"
    specification = world.specification(source={"kind": "query", "database": where, "query": query}, run={"batch_rows": 100})
    assert isinstance(specification.source, QuerySource)
    keys = list(batch_rows._kept(specification, specification.source, contents.contract))
    tables = [pq.read_table(world.folder / "store" / key) for key in keys]
    names = [name for each in tables for name in each["name"].to_pylist()]
    assert names == [None] * 300 + [f"n{ring}" for ring in range(300, 600)]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT * FROM bees", "no such table: bees"),
        ("SELECT * FROM birds WHERE ring < 0", "the source has no rows"),
        ("SELECT ring, weight AS kind, kind AS weight, seen FROM birds", "the column 'kind' of the query is not string"),
        ("SELECT ring, kind, seen FROM birds", "has no column weight; it has ring, kind, seen"),
        (
            "SELECT ring, kind, seen, CASE WHEN ring > 40 THEN NULL ELSE weight END AS weight FROM birds",
            "weight is missing in",
        ),
        ("SELECT ring, kind, seen, -weight AS weight FROM birds", r"0\.weight: Input should be greater than 0"),
    ],
)
def test_rows_that_do_not_fit_are_told_with_what_is_wrong(world: World, cluster: Cluster, query: str, told: str) -> None:
    database(world.folder / "birds.sqlite", birds(100))
    source = {"kind": "query", "database": {"kind": "sqlite", "path": str(world.folder / "birds.sqlite")}, "query": query}
    with pytest.raises(PermanentError, match=told):
        batch_predict.predict(world.specification(source=source))


def test_every_row_is_held_against_the_contract_where_that_is_asked(world: World, cluster: Cluster) -> None:
    table = birds()
    kinds = table["kind"].to_pylist()
    world.rows(table.set_column(0, "kind", pa.array([*kinds[:200], "goose ", *kinds[201:]])))
    with pytest.raises(PermanentError, match=r"8\.kind: Input should be 'duck' or 'goose'"):
        batch_predict.predict(world.specification(run=BatchRun(batch_rows=64, part_rows=250, checked_rows="all")))


def test_a_table_holds_every_prediction_by_its_key(world: World, cluster: Cluster, contents: Contents) -> None:
    table = birds()
    world.rows(table)
    batch_predict.predict(world.specification(sink={"kind": "sqlite"}, key=["kind", "seen"], columns=["ring"]))
    result = world.current.result
    with sqlite3.connect(world.store.root / result.table) as connection:
        found = connection.execute("SELECT ring, prediction, seen FROM predictions ORDER BY ring").fetchall()
    assert [prediction for _, prediction, _ in found] == expected(contents, table)
    assert found[1][2] - found[0][2] == 60, "times are whole seconds, as predictors see them"


def test_two_rows_of_one_key_are_refused(world: World, cluster: Cluster) -> None:
    world.rows(birds())
    with pytest.raises(
        PermanentError, match=r"two different rows have the same key \(kind 'duck'\): name columns in `key`|kind 'goose'"
    ):
        batch_predict.predict(world.specification(sink={"kind": "sqlite"}, key=["kind"]))
    assert not world.store.exists("batches/nightly/current/birds-3.json")


def test_a_row_that_is_there_twice_is_there_once(world: World, cluster: Cluster) -> None:
    table = birds()
    world.rows(pa.concat_tables([table, table.slice(10, 20)]))
    batch_predict.predict(world.specification(sink={"kind": "sqlite"}))
    with sqlite3.connect(world.store.root / world.current.result.table) as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (ROWS,)


def test_predictions_of_several_numbers_a_row_are_kept_as_they_are() -> None:
    several = batch_parts.prediction_array(np.array([[0.25, 0.75], [1.0, 0.0]]))
    assert several.to_pylist() == [[0.25, 0.75], [1.0, 0.0]]
    assert batch_parts.prediction_array(np.array(["a", "b"])).to_pylist() == ["a", "b"]


def test_what_waits_for_the_result_is_told_where_it_is(world: World, cluster: Cluster) -> None:
    world.rows(birds(10))
    batch_predict.predict(world.specification(result_key="batches/nightly/made/x.json"))
    assert json.loads(world.store.get("batches/nightly/made/x.json"))["result"]["rows"] == 10


STEPS = """
from heliostat.ml.postprocessing import Changed

def cap(rows, answers, given):
    most = given.parameters["most"]
    return [
        Changed(answer.model_copy(update={"kilometres": most}), "too-far") if answer.kilometres > most else answer
        for answer in answers
    ]

def fail(rows, answers, given):
    raise KeyError("no bird")
"""


def capped(**changes: Any) -> dict[str, Any]:
    return {"postprocessing": [{"name": "cap", "function": "capped_herons:cap", "parameters": {"most": 1.0}, **changes}]}


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "capped_herons.py").write_text(STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "capped_herons", raising=False)


@pytest.mark.usefixtures("steps")
def test_answers_behind_steps_are_kept_beside_the_predictions(world: World, cluster: Cluster, contents: Contents) -> None:
    table = birds()
    world.rows(table)
    batch_predict.predict(world.specification(**capped(), sink={"kind": "sqlite"}))
    found = world.predicted()
    scores = expected(contents, table)
    assert found.column_names == ["ring", "prediction", "answer", "changes"]
    assert found["prediction"].to_pylist() == scores
    answers = [json.loads(each)["kilometres"] for each in found["answer"].to_pylist()]
    assert answers == [min(score, 1.0) for score in scores]
    changes = [each and json.loads(each)[0]["reason"] for each in found["changes"].to_pylist()]
    assert changes == ["too-far" if score > 1 else None for score in scores]
    with sqlite3.connect(world.store.root / world.current.result.table) as connection:
        rows = connection.execute("SELECT ring, answer FROM predictions ORDER BY ring").fetchall()
    assert [json.loads(answer)["kilometres"] for _, answer in rows] == answers


@pytest.mark.usefixtures("steps")
def test_another_parameter_of_a_step_is_another_result_and_no_steps_are_what_there_was(world: World, cluster: Cluster) -> None:
    world.rows(birds())
    runs = []
    for given in ({}, capped(), capped(parameters={"most": 2.0}), {}):
        batch_predict.predict(world.specification(**given))
        runs.append(world.current.result.run)
    assert len({*runs}) == 3
    assert runs[0] == runs[3]


@pytest.mark.usefixtures("steps")
def test_a_step_that_fails_ends_the_run_and_says_which_one_it_was(world: World, cluster: Cluster) -> None:
    world.rows(birds())
    with pytest.raises(PermanentError, match=r"the post-processing step cap failed on this request \(KeyError\): 'no bird'"):
        batch_predict.predict(world.specification(**capped(function="capped_herons:fail")))


def test_what_is_kept_of_personal_fields_is_treated_and_a_key_has_to_be_hashed(tmp_path, monkeypatch):
    from personal_fakes import EMAIL, ROW, Income, contract, key

    from heliostat.jobs.batch import parts as batch_parts
    from heliostat.spec.personal import Privacy
    from heliostat.systems.personal_keys import Keyring

    made, privacy = contract(), Privacy(keys=(key(tmp_path, "k1"),))
    monkeypatch.setattr(batch_predict, "contract_of", lambda _: made)
    monkeypatch.setattr(batch_parts, "contract_of", lambda _: made)
    monkeypatch.setattr(batch_parts, "lower_priority", lambda: None)
    monkeypatch.setattr(batch_parts.model_cache, "fetch", lambda *_, **__: tmp_path)
    monkeypatch.setattr(batch_predict, "_in_workers", Cluster())
    assert Income.load(tmp_path) is not None
    world = World(tmp_path)
    flat = {name: ROW[name] for name in ("email", "name", "postcode", "age", "income", "agreed")}
    world.rows(pa.Table.from_pylist([flat, {**flat, "email": "b@example.org", "age": 49}]))

    def made_of(**changes):
        given = {"key": ["email"], "columns": ["name", "postcode", "age", "income"], "privacy": privacy, **changes}
        return world.specification(**given)

    batch_predict.predict(made_of())
    [part] = (tmp_path / "store" / "batches" / "nightly" / "parts").iterdir()
    rows = pq.read_table(part).to_pylist()
    assert rows[0]["email"] == Keyring.of(privacy.keys).hashed(EMAIL)
    assert [(row["name"], row["postcode"], row["age"], row["income"]) for row in rows] == [
        ("**********", "SW", 30.0, 50_000.0), ("**********", "SW", 40.0, 50_000.0),
    ]  # fmt: skip
    with pytest.raises(PermanentError, match="mark it as hashed"):
        batch_predict.predict(made_of(key=["name"]))
    with pytest.raises(PermanentError, match=r"declare serving\.privacy\.keys"):
        batch_predict.predict(made_of(privacy=None))


def test_answers_behind_steps_are_kept_treated_and_a_step_s_error_names_nobody(tmp_path, monkeypatch):
    from personal_fakes import CLEAR, NAME, ROW, contract, key

    from heliostat.jobs.batch import parts as batch_parts
    from heliostat.spec.personal import Privacy

    (tmp_path / "greeting_steps.py").write_text(GREETING)
    monkeypatch.syspath_prepend(tmp_path)
    made, privacy = contract(), Privacy(keys=(key(tmp_path, "k1"),))
    monkeypatch.setattr(batch_predict, "contract_of", lambda _: made)
    monkeypatch.setattr(batch_parts, "contract_of", lambda _: made)
    monkeypatch.setattr(batch_parts, "lower_priority", lambda: None)
    monkeypatch.setattr(batch_parts.model_cache, "fetch", lambda *_, **__: tmp_path)
    monkeypatch.setattr(batch_predict, "_in_workers", Cluster())
    world = World(tmp_path)
    world.rows(pa.Table.from_pylist([{name: ROW[name] for name in ("email", "name", "postcode", "age", "income", "agreed")}]))

    def made_of(function):
        steps = [{"name": "greet", "function": f"greeting_steps:{function}"}]
        return world.specification(key=["email"], columns=["income"], privacy=privacy, postprocessing=steps)

    batch_predict.predict(made_of("greet"))
    [part] = (tmp_path / "store" / "batches" / "nightly" / "parts").iterdir()
    [row] = pq.read_table(part).to_pylist()
    assert json.loads(row["answer"]) == {"score": 25.0, "greeting": "**********"}
    assert [each["reason"] for each in json.loads(row["changes"])] == ["personal"]
    with pytest.raises(
        PermanentError, match=r"the post-processing step greet failed on this request \(KeyError\): "
    ) as failed:
        batch_predict.predict(made_of("quote"))
    for clear in (*CLEAR, NAME.lower()):
        assert clear not in str(row) and clear not in str(failed.value)


GREETING = """
from heliostat.ml.postprocessing import Changed

def greet(rows, answers, given):
    return [
        Changed(a.model_copy(update={"score": a.score / 2, "greeting": "Hi " + row.name}), row.postcode.lower())
        for row, a in zip(rows, answers)
    ]

def quote(rows, answers, given):
    raise KeyError(rows[0].name + rows[0].email)
"""
