"""Dataset: made once, adopted from then on."""

from __future__ import annotations

import json

import pytest
from ml_world import World, failure

from heliostat.provider import inspecting
from heliostat.provider.dataset import DatasetHandler
from heliostat.spec.code import code_of
from heliostat.spec.inspection import Inspection
from heliostat.spec.training_resources import ContractCode, DatasetInputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult

HANDLER = DatasetHandler()
DIGEST = "9" * 64


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.install(monkeypatch)

    def made(specification):
        store = open_store(world.store)
        prefix = f"datasets/flights/{DIGEST}"
        manifest = {
            "digest": DIGEST, "uri": store.uri(prefix), "rows": {"train": 3}, "notes": ["2 of 5 left out"],
            "statisticsUri": store.uri(f"{prefix}/statistics.json"), "schemaUri": store.uri(f"{prefix}/schema.json"),
        }  # fmt: skip
        store.put(f"{prefix}/manifest.json", json.dumps(manifest).encode())
        store.put(specification["resultKey"], json.dumps(manifest).encode())
        return JobResult()

    world.outcome = made
    return world


def inputs(world, **changes):
    given = {
        "name": "flights", "code": world.code, "entry_point": "workloads.flights.dataset:snapshot", "parameters": {},
        "store": world.store, "ray": world.ray, **changes,
    }  # fmt: skip
    return DatasetInputs(**given)


async def test_a_snapshot_is_made_once(world):
    first = await HANDLER.create(world.context, inputs(world))
    again = await HANDLER.create(world.context, inputs(world))
    assert first == again
    assert first.outputs.address.digest == DIGEST
    assert len(world.submitted) == 1
    assert world.told["info"] == ["flights: 2 of 5 left out"] * 2


async def test_the_job_is_told_which_columns_the_contract_marks_as_personal_and_that_decides_no_rows(world, monkeypatch):
    async def inspected(code, task):
        [asked] = task.asked
        assert (code, asked.entry_point) == (world.code, "w.contract:CONTRACT")
        return Inspection(personal=("email", "mail"))

    monkeypatch.setattr(inspecting, "inspect", inspected)
    contract = ContractCode(entry_point="w.contract:CONTRACT", code=world.code)
    asked = inputs(world, contract=contract)
    first = await HANDLER.create(world.context, asked)
    [job] = world.submitted
    assert job["personal"] == ["email", "mail"]
    assert "contract" in HANDLER.insignificant_inputs(asked, inputs(world))
    await HANDLER.update(world.context, first.identifier, first.outputs, inputs(world))
    assert len(world.submitted) == 1, "and the snapshot is the same"


async def test_other_parameters_make_another_snapshot(world):
    first = await HANDLER.create(world.context, inputs(world))
    await HANDLER.update(world.context, first.identifier, first.outputs, inputs(world, parameters={"late_minutes": 20}))
    assert len(world.submitted) == 2


async def test_a_snapshot_that_is_gone_is_made_again(world):
    first = await HANDLER.create(world.context, inputs(world))
    assert await HANDLER.read(world.context, first.identifier, first.outputs) == first.outputs
    open_store(world.store).delete(f"datasets/flights/{DIGEST}/manifest.json")
    assert await HANDLER.read(world.context, first.identifier, first.outputs) is None
    await HANDLER.create(world.context, inputs(world))
    assert [job["id"][-2:] for job in world.submitted] == ["-1", "-2"]


async def test_destroying_keeps_what_models_were_trained_from(world):
    first = await HANDLER.create(world.context, inputs(world))
    await HANDLER.delete(world.context, first.identifier, first.outputs)
    assert await HANDLER.read(world.context, first.identifier, first.outputs) is not None


async def test_a_failing_data_function_shows_its_own_traceback(world):
    world.outcome = lambda _: JobResult("FAILED", failure("failed", "Traceback\nValueError: no flight between"))
    with pytest.raises(PermanentError, match=r"the snapshot of flights failed .*\n.*\nValueError: no flight between"):
        await HANDLER.create(world.context, inputs(world))


async def test_a_preview_says_what_changed(world):
    first = await HANDLER.create(world.context, inputs(world))
    world.told["info"].clear()
    await HANDLER.preview(world.context, first.outputs, inputs(world))
    await HANDLER.preview(world.context, first.outputs, inputs(world, parameters={"late_minutes": 20}))
    assert world.told["info"] == ["will make a snapshot of flights: late_minutes None -> 20"]


def test_where_the_checkout_lies_means_nothing(world):
    moved = inputs(world, code=world.code.model_copy(update={"root": "/elsewhere"}))
    assert "code" in HANDLER.insignificant_inputs(inputs(world), moved)
    changed = inputs(world, code=world.code.model_copy(update={"digest": "f" * 64}))
    assert "code" not in HANDLER.insignificant_inputs(inputs(world), changed)


SCHEMA = "label: late\ncolumns:\n  late: {type: bool, absentIn: [serving], knownAtPrediction: false}\n"


async def test_another_schema_holds_the_data_to_it_and_another_comment_does_nothing(world):
    plain = await HANDLER.create(world.context, inputs(world))
    held = inputs(world, data_schema=SCHEMA)
    first = await HANDLER.update(world.context, plain.identifier, plain.outputs, held)
    assert [job["dataSchema"] for job in world.submitted] == [None, SCHEMA]
    assert world.submitted[1]["previous"] == f"datasets/flights/{DIGEST}"
    assert first.address == plain.outputs.address, "the same rows are the same snapshot, and nothing is trained anew"
    told = inputs(world, data_schema=f"# a comment\n{SCHEMA}")
    assert "data_schema" in HANDLER.insignificant_inputs(held, told)
    await HANDLER.update(world.context, plain.identifier, first, told)
    assert len(world.submitted) == 2
    other = inputs(world, data_schema=SCHEMA.replace("bool", "bool | int64"))
    assert "data_schema" not in HANDLER.insignificant_inputs(held, other)
    world.told["info"].clear()
    await HANDLER.preview(world.context, first, other)
    assert world.told["info"] == ["will make a snapshot of flights: what is expected of it changed"]


async def test_a_schema_that_is_none_is_told_before_anything_starts(world):
    given = inputs(world, data_schema="columns: {late: {typ: bool}}").model_dump(mode="json", by_alias=True)
    reasons = {failure.path: failure.reason for failure in await HANDLER.mistakes(given)}
    assert "columns.late.typ" in reasons["dataSchema"]


async def test_a_transformation_that_the_schema_names_and_nobody_can_call_is_told_before_anything_starts(world, tmp_path):
    package = tmp_path / "checkout" / "workloads" / "w"
    package.mkdir(parents=True)
    (package / "f.py").write_text("def named(columns): ...\nNUMBER = 3\n")
    (package / "d.py").write_text("def snapshot(parameters): ...\n")

    async def told(by):
        points = ("workloads.w.d:snapshot", "workloads.w.f:named")
        schema = f"{SCHEMA}transformed: {{by: '{by}', columns: {{day: {{type: double}}}}}}\n"
        given = inputs(world, code=code_of(tmp_path / "checkout", *points), entry_point=points[0], data_schema=schema)
        return [(each.path, each.reason) for each in await HANDLER.mistakes(given.model_dump(mode="json", by_alias=True))]

    assert await told("workloads.w.f:named") == []
    for by, why in (
        ("workloads.w.f:gone", "module 'workloads.w.f' has no 'gone'"),
        ("workloads.w.f:NUMBER", "is a int: it must be a function of one argument, the columns"),
    ):
        [(path, reason)] = await told(by)
        assert path == "dataSchema" and reason.startswith(f"transformed.by: {by} ") and why in reason


async def test_what_was_found_and_stops_nothing_is_a_warning(world):
    plain = world.outcome

    def made(specification):
        result = plain(specification)
        store = open_store(world.store)
        manifest = json.loads(store.get(specification["resultKey"]))
        finding = {
            "split": "train",
            "text": "the column 'arrived': 1 rows are above the maximum 100, as far as 1e+09 (rows 0)",
        }
        store.put(specification["resultKey"], json.dumps({**manifest, "made": {"findings": [finding]}}).encode())
        return result

    world.outcome = made
    await HANDLER.create(world.context, inputs(world))
    (told,) = world.told["warn"]
    assert told.endswith("as far as 1e+09 (rows 0); no model is given the column, so nothing stops")


def ingesting(world, tmp_path, **given):
    split = {"kind": "group", "column": "id"}
    source = {"kind": "files", "uri": f"file://{tmp_path}/rows"}
    return inputs(world, ingestion={"source": source, "label": "late", "split": split, **given})


async def test_new_files_are_a_difference_where_all_that_are_there_are_taken(world, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.parquet").write_bytes(b"1")

    async def resolved(**given):
        wire = ingesting(world, tmp_path, **given).model_dump(mode="json", by_alias=True)
        return DatasetInputs.model_validate((await HANDLER.resolved_inputs(wire))[0])

    first = await resolved()
    assert first.found
    assert await resolved() == first
    created = await HANDLER.create(world.context, first)
    assert world.submitted[0]["ingestion"]["source"]["uri"] == f"file://{tmp_path}/rows"
    (tmp_path / "rows" / "b.parquet").write_bytes(b"2")
    second = await resolved()
    assert second.found != first.found
    world.told["info"].clear()
    await HANDLER.preview(world.context, created.outputs, second)
    assert world.told["info"] == ["will make a snapshot of flights: other files are there"]
    bounded = await resolved(time="at", until="2026-03-01T00:00:00Z")
    assert bounded.found is None, "a data set up to a moment stays as it was made"
    assert bounded.ingestion is not None


async def test_mistakes_of_an_ingestion_are_told_with_their_place(world, tmp_path):
    wrong = ingesting(world, tmp_path, until="2026-03-01T00:00:00Z", split={"kind": "group"})
    reasons = {each.path: each.reason for each in await HANDLER.mistakes(wrong.model_dump(mode="json", by_alias=True))}
    assert reasons["ingestion.split.group.column"] == "Field required"


def test_whole_numbers_that_came_as_doubles_are_the_same_ingestion(world, tmp_path):
    one = ingesting(world, tmp_path, split={"kind": "group", "column": "id", "seed": 3})
    other = ingesting(world, tmp_path, split={"kind": "group", "column": "id", "seed": 3.0})
    assert "ingestion" in HANDLER.insignificant_inputs(one, other)
