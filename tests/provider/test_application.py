"""The Application resource, with a real controller whose cluster and traffic plane are in memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from application_rollouts import RUNTIME, code

from heliostat.provider.application import ApplicationHandler, desired_of, digest_of
from heliostat.provider.resource import Context
from heliostat.rollout.model import State
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.postprocessing import ListSource, PostprocessingStep, list_key
from heliostat.spec.proto import Definition, ProtoField, ProtoMessage, text_of
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.spec.strategies import BlueGreen, Recreate
from heliostat.spec.workload import Interface
from heliostat.systems import controller_api, library_packages, step_lists
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory, open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "controller"))
from fake_cluster import TRACEBACK, FakeCluster


class Told:
    """What a user sees."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.context = Context("urn", self.lines.append, self.lines.append, self.lines.append, asyncio.Event())


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    found = FakeCluster(tmp_path)
    make = controller_api.httpx.AsyncClient

    def client(**arguments: Any) -> Any:
        ours = arguments.get("base_url") == "http://controller" and not arguments.get("transport")
        return make(**arguments | {"transport": controller_api.httpx.ASGITransport(found.app)} if ours else arguments)

    monkeypatch.setattr(controller_api.httpx, "AsyncClient", client)
    yield found


def inputs(cluster: FakeCluster, tmp_path: Path, model: int = 1, behaviour: str = "fine", **changes: Any) -> ApplicationInputs:
    values: dict[str, Any] = {
        "name": "flights",
        "code": code(tmp_path),
        "contract": f"workloads.app:{behaviour}",
        "model_uri": f"models:/flights/{model}",
        "strategy": BlueGreen(retention_seconds=0),
        "startup_timeout_seconds": 5,
        "store": StoreAddress(uri=f"file://{tmp_path}/objects"),
        "tracking_uri": "http://mlflow",
        "controller": cluster.address,
    }
    return ApplicationInputs(**{**values, **changes})


async def create(told: Told, wanted: ApplicationInputs) -> ApplicationOutputs:
    return (await ApplicationHandler().create(told.context, wanted)).outputs


async def test_a_create_follows_the_rollout_and_says_where_it_answers(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    async with cluster.running():
        outputs = await create(told, inputs(cluster, tmp_path))
    assert outputs.url == "http://public/flights"
    assert outputs.openapi_url == "http://public/flights/openapi.json"
    assert any("golden requests rightly" in line for line in told.lines)
    assert list((tmp_path / "objects/code").glob("*.zip"))


async def test_a_create_that_is_done_again_changes_nothing(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        first = await create(told, inputs(cluster, tmp_path))
        assert await create(told, inputs(cluster, tmp_path)) == first
    assert cluster.serve.deploys == ["flights-blue"]


async def test_a_version_that_fails_is_an_error_with_its_traceback_and_the_old_one_serves(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        with pytest.raises(PermanentError) as failure:
            await ApplicationHandler().update(told.context, "flights", old, inputs(cluster, tmp_path, 2, "crashes"))
        assert TRACEBACK in str(failure.value)
        assert "goes on serving" in str(failure.value)
        assert await ApplicationHandler().read(told.context, "flights", old) == old


async def test_what_failed_is_not_tried_again_by_the_next_up_until_someone_says_so(
    cluster: FakeCluster, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = inputs(cluster, tmp_path, 2, "crashes")
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        with pytest.raises(PermanentError, match="`up --retry-refused` does"):
            await ApplicationHandler().update(told.context, "flights", old, wanted)
        await ApplicationHandler().preview(told.context, old, wanted)
        assert "was rolled back" in told.lines[-1]
        with pytest.raises(PermanentError, match=r"was rolled back .*--retry-refused"):
            await ApplicationHandler().update(told.context, "flights", old, wanted)
        assert cluster.serve.deploys == ["flights-blue", "flights-green"]
        monkeypatch.setenv("HELIOSTAT_RETRY_REFUSED", "1")
        with pytest.raises(PermanentError, match="was not put into place"):
            await ApplicationHandler().update(told.context, "flights", old, wanted)
    assert cluster.serve.deploys == ["flights-blue", "flights-green", "flights-green"]


async def test_the_state_of_before_with_the_data_s_digest_rolls_nothing_out(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    async with cluster.running() as client:
        old = await create(told, inputs(cluster, tmp_path))
        known = inputs(cluster, tmp_path, data_digest="d" * 64)
        new = await ApplicationHandler().update(told.context, "flights", old, known)
        assert await ApplicationHandler().read(told.context, "flights", new) == new
        status = await client.read("flights")
    assert cluster.serve.deploys == ["flights-blue"]
    assert status is not None
    assert status.serving is not None
    assert status.serving.data_digest == "d" * 64


async def test_another_version_than_the_state_says_shows_as_drift(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        new = await ApplicationHandler().update(told.context, "flights", old, inputs(cluster, tmp_path, 2))
        found = await ApplicationHandler().read(told.context, "flights", old)
    assert found is not None
    assert found.model_uri == "models:/flights/2"
    assert found.digest == new.digest != old.digest


async def test_an_application_of_which_nothing_serves_reads_as_gone(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        await ApplicationHandler().delete(told.context, "flights", old)
        assert await ApplicationHandler().read(told.context, "flights", old) is None
        assert any(
            "serves no more: the controller does not know it; the next `up` brings it back" in each for each in told.lines
        )
        await ApplicationHandler().delete(told.context, "flights", old)
    assert cluster.serve.apps == {}


async def test_an_application_whose_controller_is_away_reads_as_gone(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
    away = old.model_copy(update={"controller": old.controller.model_copy(update={"url": "http://127.0.0.1:1"})})
    assert await ApplicationHandler().read(told.context, "flights", away) is None
    await ApplicationHandler().delete(told.context, "flights", away)
    assert any("counts as gone" in line for line in told.lines)


async def test_an_update_on_a_cluster_that_was_made_anew_waits_until_the_application_answers(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path, cluster_session="session_1"))
        wanted = inputs(cluster, tmp_path, cluster_session="session_2")
        assert "cluster_session" not in ApplicationHandler().insignificant_inputs(old, wanted), "it is something to do"
        await _die(cluster)
        update = asyncio.create_task(ApplicationHandler().update(told.context, "flights", old, wanted))
        await _until(lambda: _taken_up(cluster.reconciler.states["flights"]))
        assert not update.done()
        cluster.serve.away = False
        assert await asyncio.wait_for(update, 60) == old.model_copy(update={"cluster_session": "session_2"})
        assert cluster.traffic.servers["flights-blue"]


async def test_a_version_within_its_window_is_awaited_on_a_cluster_that_was_made_anew_too(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    async with cluster.running():
        await create(told, inputs(cluster, tmp_path))
        wanted = inputs(cluster, tmp_path, 2, strategy=BlueGreen(retention_seconds=600), startup_timeout_seconds=0.3)
        await create(told, wanted)
        await _die(cluster)
        with pytest.raises(PermanentError, match=r"0 of 2 replicas of 2-.* nothing answers"):
            await create(told, wanted)
        again = asyncio.create_task(create(told, wanted.model_copy(update={"startup_timeout_seconds": 60})))
        cluster.serve.away = False
        await asyncio.wait_for(again, 60)
        assert cluster.reconciler.observed["flights"].green.usable


async def test_a_preview_says_that_it_starts_again_with_its_cluster(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path, cluster_session="session_1"))
        told.lines.clear()
        await ApplicationHandler().preview(told.context, old, inputs(cluster, tmp_path))
        assert any("starts again with its cluster" in line for line in told.lines)
        told.lines.clear()
        before = old.model_copy(update={"cluster_session": ""})  # an older version of this library knew of no session
        await ApplicationHandler().preview(told.context, before, inputs(cluster, tmp_path, cluster_session="session_1"))
        assert told.lines == []


def _taken_up(state: State) -> bool:
    """A second declaration is there, or what it begins, whichever the controller has come to."""
    return state.pending or (state.rollout is not None and state.rollout.number == 2)


async def _die(cluster: FakeCluster) -> None:
    """The cluster ends, and the controller has seen it."""
    cluster.serve.make_anew()
    cluster.traffic.lose_replicas()
    cluster.reconciler.wake()
    seen = cluster.reconciler.observed
    await _until(lambda: not (seen["flights"].blue.usable or seen["flights"].green.usable))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the world in memory tells nobody
            await asyncio.sleep(0.01)


async def test_a_preview_says_what_will_happen_and_does_nothing(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        told.lines.clear()
        await ApplicationHandler().preview(told.context, old, inputs(cluster, tmp_path, 2, strategy=Recreate()))
    assert any("a gap without service" in line for line in told.lines)
    assert set(cluster.serve.apps) == {"flights-blue"}


async def test_a_preview_of_nothing_to_do_says_nothing(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        told.lines.clear()
        await ApplicationHandler().preview(told.context, old, inputs(cluster, tmp_path))
    assert told.lines == []


async def test_ctrl_c_leaves_the_rollout_running(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path))
        told.context.cancelled.set()
        with pytest.raises(RetryableError, match="goes on without this"):
            await ApplicationHandler().update(told.context, "flights", old, inputs(cluster, tmp_path, 2))
        told.context.cancelled.clear()
        new = await ApplicationHandler().update(told.context, "flights", old, inputs(cluster, tmp_path, 2))
    assert new.model_uri == "models:/flights/2"
    one_and_then_the_others = ["flights-green", "flights-green"]
    assert cluster.serve.deploys == ["flights-blue", *one_and_then_the_others], "the same rollout was followed"


def test_the_label_names_the_models_version_and_the_digest(cluster: FakeCluster, tmp_path: Path) -> None:
    wanted = desired_of(inputs(cluster, tmp_path, 3), "file:///code.zip", RUNTIME)
    assert wanted.version.label == f"3-{wanted.version.digest[:8]}"


def test_the_digest_is_of_what_is_answered_and_nothing_else(cluster: FakeCluster, tmp_path: Path) -> None:
    base = inputs(cluster, tmp_path)
    for same in ({"replicas": 5}, {"strategy": Recreate()}, {"max_ongoing_requests": 3}, {"cors_origins": ()}):
        assert digest_of(base.model_copy(update=same), RUNTIME) == digest_of(base, RUNTIME)
    origins = {"cors_origins": ("https://app.example.com",)}
    for other in ({"model_uri": "models:/flights/9"}, {"contract": "workloads.app:other"}, origins):
        assert digest_of(base.model_copy(update=other), RUNTIME) != digest_of(base, RUNTIME)


def test_the_origins_of_pages_reach_the_version(cluster: FakeCluster, tmp_path: Path) -> None:
    wanted = desired_of(inputs(cluster, tmp_path, cors_origins=("https://app.example.com",)), "file:///code.zip", RUNTIME)
    assert wanted.version.cors_origins == ("https://app.example.com",)


async def test_another_list_of_a_step_is_another_version_and_the_time_until_all_have_it_is_told(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    def listed(text: str) -> ApplicationInputs:
        (tmp_path / "withdrawn.txt").write_text(text)
        digest = step_lists.digest_of(text.encode())
        lists = {"withdrawn": ListSource(source="withdrawn.txt", digest=digest)}
        step = PostprocessingStep(name="legal", function="workloads.app:legal", lists=lists)
        return inputs(cluster, tmp_path, postprocessing=(step,))

    async with cluster.running():
        first = await create(told, listed("dune\n"))
        assert "is new: in effect for all traffic" in told.lines[-1]
        second = listed("dune\nalien\n")
        await ApplicationHandler().preview(told.context, first, second)
        outputs = await ApplicationHandler().update(told.context, "flights", first, second)
    assert outputs.digest != first.digest
    change = f"legal {first.postprocessing[0].version} becomes {second.postprocessing[0].version} (the list withdrawn)"
    assert f"post-processing: {change}" in told.lines
    assert any(line.startswith(f"post-processing: {change}: in effect for all traffic ") for line in told.lines)
    kept = Directory(tmp_path / "objects")
    assert kept.get(list_key(second.postprocessing[0].lists["withdrawn"].digest)) == b"dune\nalien\n"


def test_the_same_code_in_another_checkout_changes_nothing(cluster: FakeCluster, tmp_path: Path) -> None:
    base = inputs(cluster, tmp_path)
    moved = base.model_copy(update={"code": base.code.model_copy(update={"root": "/elsewhere"})})
    assert ApplicationHandler().insignificant_inputs(base, moved) == {"code"}
    edited = base.model_copy(update={"code": base.code.model_copy(update={"digest": "1" * 64})})
    assert ApplicationHandler().insignificant_inputs(base, edited) == frozenset()


def test_the_same_code_on_another_library_is_another_version(cluster: FakeCluster, tmp_path: Path) -> None:
    base = inputs(cluster, tmp_path)
    elsewhere = RUNTIME.model_copy(update={"library_uri": "file:///other/library.zip"})
    assert digest_of(base, elsewhere) == digest_of(base, RUNTIME), "where it lies decides nothing"
    newer = RUNTIME.model_copy(update={"library_digest": "b" * 64})
    assert digest_of(base, newer) != digest_of(base, RUNTIME)
    assert desired_of(base, "file:///code.zip", newer).version.runtime == newer


async def test_what_is_asked_for_runs_on_the_library_that_declares_it(
    cluster: FakeCluster, tmp_path: Path, told: Told
) -> None:
    async with cluster.running():
        await create(told, inputs(cluster, tmp_path))
    (config,) = cluster.serve.apps.values()
    store = open_store(StoreAddress(uri=f"file://{tmp_path}/objects"))
    runtime = library_packages.runtime(store)
    assert config["runtime_env"]["py_modules"] == [runtime.library_uri]
    assert store.exists(f"library/{runtime.library_digest}.zip")


async def test_numbers_that_clients_know_may_not_be_moved(cluster: FakeCluster, tmp_path: Path, told: Told) -> None:
    rows = (ProtoField("optional double", "size", 1), ProtoField("optional bool", "late", 2))
    proto = Definition("heliostat.flights", "Row", "Row", (ProtoMessage("Row", rows),))
    turned = Definition("heliostat.flights", "Row", "Row", (ProtoMessage("Row", rows[::-1]),))
    moved = ProtoMessage("Row", (ProtoField("optional double", "size", 2), ProtoField("optional bool", "late", 1)))
    both = {"interface": Interface.BOTH, "proto": text_of(proto)}
    async with cluster.running():
        old = await create(told, inputs(cluster, tmp_path, **both))
        assert (old.proto, old.interface) == (text_of(proto), Interface.BOTH)
        handler = ApplicationHandler()
        same = {**both, "proto": text_of(turned)}
        await handler.preview(told.context, old, inputs(cluster, tmp_path, model_uri=_LATER, **same))
        wrong = {**both, "proto": text_of(Definition("heliostat.flights", "Row", "Row", (moved,)))}
        with pytest.raises(PermanentError, match=r"Row.late .* has the number 1, which is that of size"):
            await handler.preview(told.context, old, inputs(cluster, tmp_path, model_uri=_LATER, **wrong))


_LATER = "models:/candidate/next"


def test_what_answers_as_ever_says_nothing_of_an_interface(cluster: FakeCluster, tmp_path: Path) -> None:
    base = inputs(cluster, tmp_path)
    assert not {"interface", "proto"} & base.model_dump(mode="json").keys()
    assert not {"interface", "proto"} & desired_of(base, "file:///code.zip", RUNTIME).version.model_dump(mode="json").keys()
    for other in ({"interface": Interface.GRPC}, {"proto": "x"}):
        assert digest_of(base.model_copy(update=other), RUNTIME) != digest_of(base, RUNTIME)
