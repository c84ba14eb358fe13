"""A replica between Serve and its clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import httpx
import pytest
from serving_fakes import JSON, ROW, body, version

import heliostat
from heliostat.serving.replica import Replica, build, open_application
from heliostat.serving.rest.asgi import AsgiApplication
from heliostat.serving.rest.connection import Connection
from heliostat.serving.slots import Slots
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.rollouts import Runtime, ServingArguments
from heliostat.spec.task_queue import TaskQueue, TaskWorkers
from heliostat.systems import library_packages, serve_ingress
from heliostat.systems.errors import PermanentError


async def asked_by_asgi(app, method, path, *parts, root="/_/halves/blue", **headers):
    """What an ASGI server is told, and what is asked of it."""
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts] + [{"type": "http.request"}]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": root + path, "root_path": root, "query_string": b"", "headers": given}
    await AsgiApplication(app)(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"], len(waiting)


async def test_what_comes_by_serves_own_proxy_is_answered_too(app):
    status, headers, answer, _ = await asked_by_asgi(app, "POST", "/predict", body()[:5], body()[5:], **JSON)
    assert (status, answer) == (200, b'{"score":2.0}')
    assert (headers[b"content-length"], headers[b"x-heliostat-version"]) == (b"13", b"3-abc")
    assert b"x-request-id" not in headers, "Serve adds it"
    many = json.dumps({"rows": [ROW] * 100}).encode()
    assert (await asked_by_asgi(app, "POST", "/predict", many, **JSON))[0] == 200
    assert (await asked_by_asgi(app, "HEAD", "/healthz"))[:3:2] == (200, b"")
    status, _, _, left = await asked_by_asgi(app, "POST", "/predict", *[b" " * 15_000] * 9, **JSON)
    assert (status, left) == (413, 8), "no more of it is read"


async def test_a_candidate_whose_requests_pass_through_serve_fails_its_golden_requests(app):
    status, _, answer, _ = await asked_by_asgi(app, "POST", "/-/golden")
    assert status == 500
    assert b"install the release of Ray that requirements.lock names" in answer


async def test_the_end_of_the_application_closes_the_log(app, log):
    messages, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    await AsgiApplication(app)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log.entries == ["closed"]


@pytest.fixture
def hooked(monkeypatch):
    """Serve's module, which is as it was afterwards."""
    from ray.serve._private import replica

    monkeypatch.setattr(replica, serve_ingress.START, getattr(replica, serve_ingress.START))
    return replica


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_server_that_serve_starts_has_our_connections(app, hooked):
    from ray.serve.config import HTTPOptions

    replica = Replica.__new__(Replica)
    replica._answers, replica._prefix, replica._slots = app, "/_/halves/blue", Slots(1)
    await replica.__serve_build_asgi_app__()

    async def serves(scope, receive, send):
        raise AssertionError("the request passed through Serve")

    loop = asyncio.get_running_loop()
    task, server = await getattr(hooked, serve_ingress.START)(serves, HTTPOptions(host="127.0.0.1", port=0), event_loop=loop)
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    [socket] = server.servers[0].sockets
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{socket.getsockname()[1]}/_/halves/blue") as client:
        assert (await client.post("/predict", content=body())).json() == {"score": 2.0}
        assert (await client.post("/-/golden")).json() == {"passed": 2}
        server.should_exit = True
        await asyncio.wait_for(task, 60)


def test_a_serve_that_starts_its_server_differently_is_refused(monkeypatch, hooked):
    monkeypatch.delattr(hooked, serve_ingress.START)
    with pytest.raises(PermanentError, match=r"Ray Serve [\d.]+ starts the server of a replica"):
        serve_ingress.listen_with(Connection)


async def test_a_replica_tells_serve_how_much_it_works_on():
    replica = Replica.__new__(Replica)
    replica._slots = Slots(1)
    assert await replica.record_autoscaling_stats() == {"ongoing_requests": 0}
    replica._slots.take()
    replica._slots.wait(lambda: None)
    assert await replica.record_autoscaling_stats() == {"ongoing_requests": 2}


def test_a_replica_takes_on_more_or_less_while_it_runs():
    replica = Replica.__new__(Replica)
    replica._slots = Slots(1)
    replica.reconfigure({"maxOngoingRequests": 5})
    assert replica._slots.limit == 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_replica_takes_the_cores_and_accelerators_that_are_declared(tmp_path):
    import ray.serve

    arguments = ServingArguments(
        application="halves", route_prefix="/_/halves/blue", public_path="/halves", replicas=3, cpus_per_replica=0.5,
        gpus_per_replica=0.25, max_ongoing_requests=8, version=version("2-new", store=StoreAddress(uri=f"file://{tmp_path}")),
    )  # fmt: skip
    application = build(arguments.model_dump(mode="json"))
    assert isinstance(application, ray.serve.Application)
    deployment = application._bound_deployment
    assert (deployment.ray_actor_options["num_cpus"], deployment.ray_actor_options["num_gpus"]) == (0.5, 0.25)
    assert (deployment.num_replicas, deployment.max_ongoing_requests) == (3, 8)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_application_that_takes_tasks_has_workers_beside_its_replicas_and_no_other_has(tmp_path):
    queue = TaskQueue(workers=TaskWorkers(replicas=2, concurrency=4, cpus_per_replica=0.5), drain_seconds=100)
    arguments = on_library(tmp_path, "a" * 64)
    plain = build(arguments.model_dump(mode="json"))
    assert plain._bound_deployment.init_args[1:] == ()
    with_queue = arguments.model_copy(update={"version": arguments.version.model_copy(update={"queue": queue})})
    [workers] = build(with_queue.model_dump(mode="json"))._bound_deployment.init_args[1:]
    deployment = workers._bound_deployment
    assert (deployment.name, deployment.num_replicas, deployment.max_ongoing_requests) == ("tasks", 2, 4)
    assert deployment.ray_actor_options["num_cpus"] == 0.5
    assert deployment._deployment_config.graceful_shutdown_timeout_s > 100, "Serve waits for longer than workers drain"


def on_library(tmp_path, digest):
    runtime = Runtime(library="0.0.9", library_digest=digest, library_uri="file:///library.zip")
    declared = version("2-new", store=StoreAddress(uri=f"file://{tmp_path}")).model_copy(
        update={"runtime": runtime, "contract": "workloads.flights.contract:gone"}
    )
    return ServingArguments(
        application="halves", route_prefix="/_/halves/blue", public_path="/halves", replicas=1, cpus_per_replica=1,
        max_ongoing_requests=8, version=declared, spool=str(tmp_path),
    )  # fmt: skip


def test_a_replica_on_another_library_than_the_version_s_refuses_to_start(tmp_path):
    with pytest.raises(PermanentError) as refused:
        open_application(on_library(tmp_path, "a" * 64))
    assert "2-new was declared with heliostat 0.0.9 (aaaaaaaaaaaa)" in str(refused.value)
    assert f"runs heliostat {heliostat.__version__} ({library_packages.here()[:12]})" in str(refused.value)
    assert "Install heliostat 0.0.9 where replicas run" in str(refused.value)


def test_a_replica_on_the_version_s_library_goes_on_to_its_contract(tmp_path):
    with pytest.raises(ValueError, match="has no 'gone'"):
        open_application(on_library(tmp_path, library_packages.here()))


def test_a_replica_imports_nothing_heavy():
    program = (
        "import sys, heliostat.serving.replica, workloads.flights.contract;"
        "print([m for m in ('pandas', 'mlflow', 'lightgbm', 'sklearn', 'ray', 'pyarrow') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
