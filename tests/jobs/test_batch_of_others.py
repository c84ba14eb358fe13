"""Predictions beforehand by a model that others logged with MLflow: those that its service would answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_batch_predict import Cluster, World
from test_model_recording import FLATS, answered_text, asked, looked_at, pipeline, saved, served

from heliostat.jobs import batch_predict
from heliostat.jobs.batch import parts as batch_parts
from heliostat.systems.errors import PermanentError

__all__ = ["pipeline"]

pytestmark = pytest.mark.filterwarnings("ignore")
KEPT = {"contract": "heliostat.ml.mlflow_models.contracts:let", "key": ["number"], "columns": ["city"]}


@pytest.fixture
def world(tmp_path: Path, pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """A store, rows, and the workload `let`."""
    world = World(tmp_path)
    folder = saved("sklearn", pipeline, tmp_path / "model", input_example=FLATS.head(3))
    found = looked_at(folder)
    file = tmp_path / "checkout" / "workloads" / "let" / "contract.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(answered_text(found))
    monkeypatch.syspath_prepend(tmp_path / "checkout")

    def fetch(uri: str, tracking: str, *, whole: bool) -> Path:
        assert whole, "all of MLflow's folder is read"
        return folder

    monkeypatch.setattr(batch_predict, "_in_workers", Cluster())
    monkeypatch.setattr(batch_parts.model_cache, "fetch", fetch)
    monkeypatch.setattr(batch_parts, "lower_priority", lambda: None)
    contract, predictor = served(folder, found)
    world.answers = lambda row: asked(contract, predictor, json.dumps(row).encode())[0]["prediction"]  # type: ignore[attr-defined]
    return world


def flats() -> pa.Table:
    return pa.Table.from_pandas(FLATS.assign(number=range(len(FLATS))), preserve_index=False)


def test_each_row_is_answered_as_the_service_answers_it(world: World) -> None:
    world.rows(flats(), group=20)
    batch_predict.predict(world.specification(**KEPT))
    found = world.predicted()
    assert found.column_names == ["number", "city", "prediction"]
    rows = flats().drop_columns(["number"]).to_pylist()
    # Of many rows at once linear algebra rounds otherwise than of one.
    answers = [world.answers(row) for row in rows]  # type: ignore[attr-defined]
    assert found["prediction"].to_pylist() == pytest.approx(answers, rel=1e-12)


def test_a_row_that_its_contract_refuses_is_told_with_its_field(world: World) -> None:
    table = flats()
    bad = table.set_column(1, "rooms", pa.array([None, *range(1, table.num_rows)], pa.int64()))
    world.rows(bad, group=20)
    with pytest.raises(PermanentError, match=r"rows do not fit the contract \(row\.field\): 0\.rooms"):
        batch_predict.predict(world.specification(**KEPT))


def test_another_environment_predicts_anew(world: World) -> None:
    world.rows(flats(), group=20)
    batch_predict.predict(world.specification(**KEPT))
    first = world.current.result.run
    batch_predict.predict(world.specification(**KEPT, environment_digest="e" * 64))
    assert world.current.result.run != first


def test_a_column_that_is_missing_is_named(world: World) -> None:
    pq.write_table(flats().drop_columns(["note"]), world.folder / "rows" / "a.parquet")
    with pytest.raises(PermanentError, match="has no column note"):
        batch_predict.predict(world.specification(**KEPT))
