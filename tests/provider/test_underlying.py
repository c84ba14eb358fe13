"""A controller is made only on what it can work with, and the preview says so."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from heliostat.provider.underlying import mlflow_problem, ray_problem, serve_problem, unanswered
from heliostat.spec.addresses import RayAddress, StoreAddress, TokenVariable
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.systems.errors import PermanentError

RAY = importlib.metadata.version("ray")
NOBODY = "http://127.0.0.1:1"


class World:
    """Ray's dashboard and MLflow at one address, of the releases that a test wants."""

    def __init__(self) -> None:
        self.ray, self.mlflow, self.refuses = RAY, "3.17.0", False
        self.seen: list[tuple[str, str | None]] = []
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                world.seen.append((self.path.partition("?")[0], self.headers.get("authorization")))
                nodes = {"data": {"result": {"result": []}}}
                answers = {
                    "/api/version": json.dumps({"ray_version": world.ray}),
                    "/version": world.mlflow,
                    "/api/v0/nodes": json.dumps(nodes),
                }
                path = self.path.partition("?")[0]
                body = answers.get(path, "{}").encode()
                self.send_response(401 if world.refuses and path == "/api/v0/nodes" else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    Thread(target=found.server.serve_forever, daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


def inputs(world: World, folder: Path, **changes: Any) -> ControllerInputs:
    values = {
        "directory": str(folder), "ray": RayAddress(url=world.url), "store": StoreAddress(uri=folder.as_uri()),
        "tracking_uri": world.url, **changes,
    }  # fmt: skip
    return ControllerInputs(**values)


async def test_where_all_is_there_nothing_is_said(world: World, tmp_path: Path) -> None:
    assert await unanswered(inputs(world, tmp_path)) == []
    assert {path for path, _ in world.seen} >= {"/api/version", "/version", "/api/2.0/mlflow/experiments/get"}


async def test_what_does_not_answer_now_is_said_and_stops_nothing(world: World, tmp_path: Path) -> None:
    away = inputs(world, tmp_path, ray=RayAddress(url=NOBODY), tracking_uri=NOBODY)
    ray, mlflow = await unanswered(away)
    assert ray.startswith(f"Ray at {NOBODY} does not answer")
    assert mlflow.startswith(f"MLflow does not answer at {NOBODY}")


async def test_all_that_cannot_be_used_is_told_at_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TOKEN", raising=False)
    world.mlflow = "2.22.1"
    ray = RayAddress(url=world.url, credential=TokenVariable(variable="RAY_TOKEN"))
    with pytest.raises(PermanentError, match=r"RAY_TOKEN: set it here; MLflow at .* is 2\.22\.1"):
        await unanswered(inputs(world, tmp_path, ray=ray))


async def test_a_cluster_is_asked_with_the_credential_that_is_declared(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TOKEN", "t")
    await unanswered(inputs(world, tmp_path, ray=RayAddress(url=world.url, credential=TokenVariable(variable="RAY_TOKEN"))))
    assert ("/api/version", "Bearer t") in world.seen
    assert ("/version", None) in world.seen, "MLflow is not told Ray's token"


async def test_a_token_that_is_refused_stops_it(world: World, tmp_path: Path) -> None:
    world.refuses = True
    with pytest.raises(PermanentError, match=r"refuses the token \(401\)"):
        await unanswered(inputs(world, tmp_path))


async def test_another_release_of_ray_is_refused(world: World, tmp_path: Path) -> None:
    world.ray = "2.9.3"
    with pytest.raises(PermanentError, match=r"is 2\.9\.3, and heliostat here works with .*: install ray\[serve,train\]"):
        await unanswered(inputs(world, tmp_path))


async def test_a_bucket_that_is_not_there_is_refused(
    world: World, tmp_path: Path, s3_endpoint: str, s3_credentials: None
) -> None:
    store = StoreAddress(uri="s3://no-such-bucket/x", endpoint=s3_endpoint, region="us-east-1")
    with pytest.raises(PermanentError, match="there is no bucket no-such-bucket"):
        await unanswered(inputs(world, tmp_path, store=store))


@pytest.mark.parametrize(
    ("runs", "fits"), [("2.60.0", True), ("2.60.7", True), ("", True), ("2.6.0", False), ("3.60.0", False)]
)
def test_a_patch_release_of_ray_does_and_another_minor_one_does_not(runs: str, fits: bool) -> None:
    assert (ray_problem(NOBODY, runs, "2.60.1") is None) is fits


@pytest.mark.parametrize(
    ("url", "host", "fits"),
    [
        ("http://10.0.0.5:8265", "127.0.0.1", False),
        ("http://10.0.0.5:8265", "localhost", False),
        ("http://10.0.0.5:8265", "0.0.0.0", True),
        ("http://10.0.0.5:8265", "", True),
        ("http://127.0.0.1:8265", "127.0.0.1", True),
    ],
)
def test_a_serve_that_is_reached_on_its_own_nodes_alone_does_only_there(url: str, host: str, fits: bool) -> None:
    problem = serve_problem(url, host)
    assert (problem is None) is fits
    assert fits or "`serve shutdown`" in str(problem)


@pytest.mark.parametrize(("runs", "fits"), [("3.0.0", True), ("10.1", True), ("2.22.1", False), ("unknown", True)])
def test_mlflow_is_at_least_3(runs: str, fits: bool) -> None:
    assert (mlflow_problem(NOBODY, runs) is None) is fits
