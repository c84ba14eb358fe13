"""ModelPackage: a wheel that a job makes once, and that is published where it is declared to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ml_world import World, failure

from heliostat.provider import model_package
from heliostat.provider.model_package import ModelPackageHandler
from heliostat.spec.model_resources import ModelPackageInputs
from heliostat.spec.packages import PackageIndex
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.publications import PackageDigests, Publication, PublicationKind, publication_key, wheel_key
from heliostat.systems import package_pages, publications
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult

HANDLER = ModelPackageHandler()
INDEX = {"url": "https://upload.example.com/legacy/", "credential": {"kind": "environment", "variable": "PUBLISH_TOKEN"}}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    world.install(monkeypatch)
    monkeypatch.setenv("PUBLISH_TOKEN", "s3cret")

    def made(specification: dict[str, Any]) -> JobResult:
        store = open_store(world.store)
        there = publications.read(store, specification["distribution"])
        version = f"{specification['modelUri'].rpartition('/')[2]}.{len(there)}"
        digests = dict.fromkeys(PackageDigests.model_fields, "d" * 64)
        entry = Publication(
            number=publications.next_number(there), kind=PublicationKind.BUILT, at=1.0, version=version,
            application=specification["application"], distribution=specification["distribution"], sha256=version[0] * 64,
            file=f"flights_model-{version}-py3-none-any.whl", model_uri=specification["modelUri"], identity="1" * 64,
            digests=PackageDigests(**digests), requires_python=">=3.11", place="", origin=specification["origin"],
        )  # fmt: skip
        store.put(publication_key(entry.distribution, entry.number), entry.model_dump_json().encode())
        store.put(wheel_key(entry.distribution, entry.file), version.encode())
        package_pages.write(store, entry.distribution)
        store.put(specification["resultKey"], entry.model_dump_json().encode())
        return JobResult()

    world.outcome = made
    return world


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What was uploaded: the wheel's name and its content."""
    found: list[tuple[str, bytes]] = []
    monkeypatch.setattr(
        model_package.package_index, "publish", lambda wheel, index: found.append((wheel.name, wheel.read_bytes()))
    )
    return found


def inputs(world: World, **changes: Any) -> ModelPackageInputs:
    given = {
        "name": "flights", "distribution": "flights-model", "code": world.code,
        "contract": "workloads.flights.contract:CONTRACT",
        "model_uri": "models:/flights/3", "store": world.store, "ray": world.ray, "tracking_uri": "http://mlflow", **changes,
    }  # fmt: skip
    return ModelPackageInputs(**given)


def kinds(world: World) -> list[str]:
    return [each.kind.value for each in publications.read(open_store(world.store), "flights-model")]


async def test_a_wheel_is_made_once_and_adopted_from_then_on(world: World) -> None:
    first = await HANDLER.create(world.context, inputs(world))
    again = await HANDLER.create(world.context, inputs(world))
    assert first == again
    assert first.identifier == "flights-model-3.0"
    assert first.outputs.index_uri == f"{world.store.uri}/packages/simple"
    assert first.outputs.uri == f"{world.store.uri}/packages/files/flights-model/flights_model-3.0-py3-none-any.whl"
    assert [job["id"].rpartition("-")[0][:-13] for job in world.submitted] == ["package-flights-model"]


async def test_another_model_or_code_makes_another_wheel_and_keeps_the_first(world: World) -> None:
    first = await HANDLER.create(world.context, inputs(world))
    code = world.code.model_copy(update={"digest": world.code.digest})
    await HANDLER.update(world.context, "", first.outputs, inputs(world, code=code))
    assert len(world.submitted) == 1
    second = await HANDLER.update(world.context, "", first.outputs, inputs(world, model_uri="models:/flights/4"))
    assert second.version == "4.1"
    assert await HANDLER.read(world.context, "", first.outputs) == first.outputs


async def test_it_is_published_to_the_index_once_and_written_down(world: World, sent: list[tuple[str, bytes]]) -> None:
    given = inputs(world, index=PackageIndex.model_validate(INDEX))
    first = await HANDLER.create(world.context, given)
    await HANDLER.update(world.context, "", first.outputs, given)
    assert sent == [("flights_model-3.0-py3-none-any.whl", b"3.0")]
    assert kinds(world) == ["built", "uploaded"]
    state = first.outputs.model_dump_json()
    assert "s3cret" not in state
    assert "PUBLISH_TOKEN" in state


async def test_an_index_that_is_away_is_tried_again_without_another_wheel(
    world: World, monkeypatch: pytest.MonkeyPatch, sent: list[tuple[str, bytes]]
) -> None:
    working = model_package.package_index.publish

    def away(wheel: Path, index: PackageIndex) -> None:
        raise RetryableError("away")

    given = inputs(world, index=PackageIndex.model_validate(INDEX))
    monkeypatch.setattr(model_package.package_index, "publish", away)
    with pytest.raises(RetryableError, match="away"):
        await HANDLER.create(world.context, given)
    monkeypatch.setattr(model_package.package_index, "publish", working)
    await HANDLER.create(world.context, given)
    assert (len(sent), len(world.submitted), kinds(world)) == (1, 1, ["built", "uploaded"])


async def test_a_wheel_that_is_gone_is_made_again(world: World) -> None:
    first = await HANDLER.create(world.context, inputs(world))
    open_store(world.store).delete(wheel_key("flights-model", first.outputs.file))
    assert await HANDLER.read(world.context, "", first.outputs) is None
    await HANDLER.create(world.context, inputs(world))
    assert [job["id"][-2:] for job in world.submitted] == ["-1", "-2"]


async def test_destroying_keeps_the_wheels_unless_told_otherwise(world: World, sent: list[tuple[str, bytes]]) -> None:
    given = inputs(world, index=PackageIndex.model_validate(INDEX))
    made = (await HANDLER.create(world.context, given)).outputs
    await HANDLER.delete(world.context, "", made)
    assert await HANDLER.read(world.context, "", made) is not None
    assert "the wheels of flights-model are kept (onDestroy: keep)" in world.told["info"]
    await HANDLER.delete(world.context, "", made.model_copy(update={"on_destroy": OnDestroy.DELETE}))
    assert await HANDLER.read(world.context, "", made) is None
    assert kinds(world) == ["built", "uploaded", "removed"]
    assert world.told["info"][-1] == "what was published to https://upload.example.com/legacy/ stays there"
    assert b"<a href" not in open_store(world.store).get("packages/simple/flights-model/index.html")
    await HANDLER.delete(world.context, "", made.model_copy(update={"on_destroy": OnDestroy.DELETE}))
    assert kinds(world) == ["built", "uploaded", "removed"]


async def test_a_preview_says_what_is_packed_and_which_variable_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PUBLISH_TOKEN")
    await HANDLER.preview(world.context, None, inputs(world, index=PackageIndex.model_validate(INDEX)))
    placeholders = HANDLER.preview_placeholders
    await HANDLER.preview(world.context, None, inputs(world, model_uri=placeholders["model_uri"]))
    assert world.told["info"] == [
        "will pack models:/flights/3 as flights-model", "will pack the next version of flights as flights-model",
    ]  # fmt: skip
    assert len(world.told["warn"]) == 1
    assert world.told["warn"][0].startswith("PUBLISH_TOKEN is not set here")
    await HANDLER.create(world.context, inputs(world))
    world.told["info"].clear()
    await HANDLER.preview(world.context, None, inputs(world))
    assert world.told["info"] == []


async def test_a_package_that_cannot_be_made_shows_why(world: World) -> None:
    world.outcome = lambda _: JobResult("FAILED", failure("failed", "the package of flights answers otherwise"))
    with pytest.raises(PermanentError, match=r"the package of flights failed .*\n.*answers otherwise"):
        await HANDLER.create(world.context, inputs(world))


async def test_a_contract_that_imports_mlflow_is_refused_in_the_preview(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fine(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(model_package.inspecting, "of_contract", fine)
    given = {"code": world.code.model_dump(mode="json", by_alias=True)}
    assert await HANDLER.mistakes(given) == []
    with open(f"{world.code.root}/workloads/__init__.py", "w") as heavy:  # noqa: ASYNC230, PTH123 - a line of a test
        heavy.write("import mlflow.pyfunc\n")
    (mistake,) = await HANDLER.mistakes(given)
    assert mistake.path == "contract"
    assert mistake.reason.startswith("workloads/__init__.py imports mlflow, which no package has")


def test_where_the_checkout_lies_means_nothing(world: World) -> None:
    moved = inputs(world, code=world.code.model_copy(update={"root": "/elsewhere"}))
    assert "code" in HANDLER.insignificant_inputs(inputs(world), moved)
    changed = inputs(world, code=world.code.model_copy(update={"digest": "f" * 64}))
    assert "code" not in HANDLER.insignificant_inputs(inputs(world), changed)
