"""BatchPrediction: a job that predicts beforehand, and a schedule for the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ml_world import World, failure

from heliostat.provider.batch_prediction import BatchPredictionHandler
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import Current, Result, Scheduled, manifest_key, schedule_key
from heliostat.spec.serving_resources import BatchPredictionInputs
from heliostat.spec.training_resources import DatasetAddress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult

HANDLER = BatchPredictionHandler()
QUERY = {"kind": "query", "database": {"kind": "sqlite", "path": "/d/b.sqlite"}, "query": "SELECT 1"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    world.install(monkeypatch)
    (tmp_path / "objects").mkdir()

    def made(specification: dict[str, Any]) -> JobResult:
        store = open_store(world.store)
        number = len(world.submitted)
        result = Result(
            name=specification["name"], application="flights", run=f"{number:032}", model_uri=specification["modelUri"],
            predictor="0" * 64, data="1" * 64, rows=1_000, parts=(), key=tuple(specification["key"]),
        )  # fmt: skip
        store.put(manifest_key(result.name, result.run), result.model_dump_json().encode())
        store.put(specification["resultKey"], Current(result=result, at=1.0).model_dump_json().encode())
        return JobResult()

    world.outcome = made
    return world


def inputs(world: World, **changes: Any) -> BatchPredictionInputs:
    given = {
        "name": "flights-nightly", "application": "flights", "code": world.code, "dataset": world.dataset,
        "contract": "workloads.flights.contract:CONTRACT", "model_uri": "models:/flights/3",
        "source": {"kind": "snapshot", "split": "test"}, "sink": {"kind": "parquet"}, "store": world.store, "ray": world.ray,
        "tracking_uri": "http://mlflow", **changes,
    }  # fmt: skip
    return BatchPredictionInputs.model_validate(given)


async def test_the_same_rows_and_model_are_predicted_once(world: World) -> None:
    first = await HANDLER.create(world.context, inputs(world))
    again = await HANDLER.create(world.context, inputs(world))
    assert first == again
    assert first.identifier == "flights-nightly"
    assert len(world.submitted) == 1
    assert world.submitted[0]["datasetKey"] == f"datasets/flights/{'d' * 64}"
    assert world.told["info"][-1] == "flights-nightly: 1,000 rows are predicted by models:/flights/3"


@pytest.mark.parametrize(
    "change",
    [
        {"model_uri": "models:/flights/4"},
        {"dataset": DatasetAddress(uri="", digest="e" * 64)},
        {"columns": ("carrier",)},
        {"source": QUERY},
        {"key": ("carrier",), "sink": {"kind": "sqlite"}},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_other_rows_or_another_model_are_another_run(world: World, change: dict[str, Any]) -> None:
    first = (await HANDLER.create(world.context, inputs(world))).outputs
    if "dataset" in change:
        change = {"dataset": DatasetAddress(uri=f"{world.store.uri}/datasets/flights/{'e' * 64}", digest="e" * 64)}
    second = await HANDLER.update(world.context, "", first, inputs(world, **change))
    assert second.result != first.result
    assert await HANDLER.read(world.context, "", first) == first, "what was predicted stays"


def test_how_it_runs_means_nothing_unless_it_runs_again(world: World) -> None:
    changed = inputs(world, workers=7, batch_rows=9)
    assert {"workers", "batch_rows"} <= HANDLER.insignificant_inputs(inputs(world), changed)
    scheduled = inputs(world, workers=7, schedule="0 3 * * *")
    assert "workers" not in HANDLER.insignificant_inputs(inputs(world), scheduled)


async def test_a_schedule_is_put_where_the_controller_reads_it_and_goes_with_the_resource(world: World) -> None:
    made = (await HANDLER.create(world.context, inputs(world, schedule="0 3 * * *"))).outputs
    store = open_store(world.store)
    scheduled = Scheduled.model_validate_json(store.get(schedule_key("flights-nightly")))
    assert (scheduled.schedule, scheduled.base) == ("0 3 * * *", "batch-flights-nightly-due")
    specification = BatchSpecification.model_validate_json(store.get(scheduled.specification))
    assert (specification.model_uri, specification.result_key) == ("models:/flights/3", "")
    assert store.exists(scheduled.code_uri.removeprefix(f"{world.store.uri}/"))
    store.delete(schedule_key("flights-nightly"))
    assert await HANDLER.read(world.context, "", made) is None, "the next update puts it back"
    await HANDLER.create(world.context, inputs(world, schedule="0 3 * * *"))
    assert len(world.submitted) == 1
    await HANDLER.delete(world.context, "", made)
    assert not store.exists(schedule_key("flights-nightly"))
    assert store.exists(manifest_key("flights-nightly", made.result))
    assert world.told["info"][-1].startswith("the predictions of flights-nightly are kept")


async def test_without_a_schedule_the_one_before_ends(world: World) -> None:
    made = (await HANDLER.create(world.context, inputs(world, schedule="0 3 * * *"))).outputs
    await HANDLER.update(world.context, "", made, inputs(world))
    assert not open_store(world.store).exists(schedule_key("flights-nightly"))


async def test_a_preview_says_what_is_predicted_and_when_again(world: World) -> None:
    asked = inputs(world, schedule="0 3 * * *")
    await HANDLER.preview(world.context, None, asked)
    assert world.told["info"] == [
        "will predict the rows of flights-nightly with models:/flights/3",
        "flights-nightly will be predicted again at `0 3 * * *` (UTC) by the controller",
    ]
    made = (await HANDLER.create(world.context, asked)).outputs
    world.told["info"].clear()
    await HANDLER.preview(world.context, made, asked)
    assert world.told["info"] == []
    later = HANDLER.preview_placeholders["model_uri"]
    await HANDLER.preview(world.context, made, inputs(world, model_uri=later, dataset=None))
    assert world.told["info"] == ["will predict the rows of flights-nightly with the next version"]


async def test_a_split_of_no_data_set_is_refused(world: World) -> None:
    with pytest.raises(PermanentError, match="names none: give its `dataset`"):
        await HANDLER.create(world.context, inputs(world, dataset=None))


async def test_a_run_that_fails_shows_why(world: World) -> None:
    world.outcome = lambda _: JobResult("FAILED", failure("failed", "rows do not fit the contract"))
    with pytest.raises(PermanentError, match=r"the prediction flights-nightly failed .*\nrows do not fit"):
        await HANDLER.create(world.context, inputs(world))
