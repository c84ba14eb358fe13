"""What the stack is compared with, each brought up as its own documentation says and gone when its measurement ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import override

from bench import payloads
from bench.commands import MeasurementError
from bench.session import SOURCE, Session, answers
from bench.workspace import until
from heliostat.spec.addresses import RayAddress
from heliostat.spec.platform_resources import RayClusterInputs
from heliostat.spec.platforms.local import LocalRay
from heliostat.systems import ports, processes
from heliostat.systems.http import open_sync_client
from heliostat.systems.processes import Service
from heliostat.systems.ray_nodes import LocalCluster

_APPLICATIONS = "/api/serve/applications/"
_ENTRY_POINT = "bench.serve_app:build"


class DefaultCluster(LocalCluster):
    """A Ray cluster like the stack's, but with Serve's own defaults."""

    @override
    def _environment(self, inputs: RayClusterInputs) -> Mapping[str, str]:
        """Ports and paths stay, so that clusters do not get into each other's way; every other setting of Serve's goes."""
        kept = {
            name: value
            for name, value in super()._environment(inputs).items()
            if not name.startswith("RAY_SERVE_") or name.endswith("_PORT")
        }
        return {**kept, **self._more()}

    def _more(self) -> Mapping[str, str]:
        return {}


class HaproxyCluster(DefaultCluster):
    """The same in Serve's HAProxy mode."""

    @override
    def _more(self) -> Mapping[str, str]:
        runtime = processes.runtime_directory(self.directory)
        return {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(runtime / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(runtime / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(runtime),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(runtime / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.claim(self.directory, "haproxy-metrics")),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.claim(self.directory, "haproxy-stats")),
        }


@contextmanager
def ray_haproxy(session: Session) -> Iterator[str]:
    """Serve in HAProxy mode; yields where it predicts."""
    with _ray(session, HaproxyCluster(session.folder / "ray-haproxy")) as url:
        yield url


@contextmanager
def ray_proxy(session: Session) -> Iterator[str]:
    """Serve behind its own proxy; yields where it predicts."""
    with _ray(session, DefaultCluster(session.folder / "ray-proxy")) as url:
        yield url


@contextmanager
def fastapi(session: Session) -> Iterator[str]:
    """`bench.fastapi_app` with uvicorn, as many workers as the stack has replicas."""
    with uvicorn(session, "fastapi", "bench.fastapi_app:create", {}) as url:
        yield url


@contextmanager
def uvicorn(session: Session, name: str, factory: str, variables: Mapping[str, str]) -> Iterator[str]:
    """An application of FastAPI with the arguments of the stack's, as many workers as that has replicas."""
    folder = session.folder / name
    folder.mkdir()
    arguments = folder / "arguments.json"
    arguments.write_text(json.dumps({**_arguments(session)["args"], "spool": str(folder / "spool")}))
    port = ports.claim(folder, "http")
    argv = (
        sys.executable, "-m", "uvicorn", factory, "--factory", "--workers", str(session.stack.replicas),
        "--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning",
    )  # fmt: skip
    environment = {"PYTHONPATH": str(SOURCE), "HELIOSTAT_BENCH_ARGUMENTS": str(arguments), **variables}
    url = f"http://127.0.0.1:{port}/predict"
    with session.serving(Service(folder, "uvicorn", argv, environment), lambda: _predicts(url, "late_probability")):
        yield url


@contextmanager
def mlflow(session: Session, model: str = "", row: Any = None, answer: str = "score") -> Iterator[str]:
    """`mlflow models serve`, as many workers as the stack has replicas, with the model of the run that serves, or with
    `model`, which answers `row` with something that has `answer` in it."""
    folder = session.folder / ("mlflow-of-others" if model else "mlflow")
    folder.mkdir()
    port = ports.claim(folder, "http")
    binaries = Path(sys.executable).parent
    argv = (
        str(binaries / "mlflow"), "models", "serve", "--model-uri", model or session.stack.outputs["flights"]["modelUri"],
        "--env-manager", "local", "--workers", str(session.stack.replicas), "--host", "127.0.0.1", "--port", str(port),
    )  # fmt: skip
    environment = {
        "MLFLOW_TRACKING_URI": session.stack.outputs["platform"]["trackingUri"],
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    url = f"http://127.0.0.1:{port}/invocations"

    def predicts() -> bool:
        return answers(url, {"dataframe_records": [row or payloads.flights()[0]]}, answer)

    with session.serving(Service(folder, "mlflow", argv, environment), predicts, seconds=180):
        yield url


@contextmanager
def _ray(session: Session, cluster: LocalCluster) -> Iterator[str]:
    inputs = RayClusterInputs(directory=str(cluster.directory), **dict(LocalRay()))
    try:
        asyncio.run(cluster.start(inputs, lambda _: None))
        port = ports.claim(cluster.directory, "http")
        application = _arguments(session)
        application["args"] = {
            **application["args"],
            "routePrefix": "/flights",
            "spool": str(cluster.directory / "spool"),
        }
        _deploy(cluster.address, port, {**application, "name": "flights", "route_prefix": "/flights"})
        url = f"http://127.0.0.1:{port}/flights/predict"
        until(lambda: _runs(cluster.address) and _predicts(url, "late_probability"), f"{cluster.directory.name} answers", 180)
        yield url
    finally:
        asyncio.run(cluster.halt())
        ports.release(cluster.directory)
        shutil.rmtree(processes.runtime_directory(cluster.directory), ignore_errors=True)


def _arguments(session: Session) -> dict[str, Any]:
    """How the stack's controller has deployed the application that serves: code and arguments. Serve asks it as it comes."""
    address = RayAddress.model_validate(session.stack.outputs["platform"]["ray"])
    applications = _serve(address, "GET").json()["applications"]
    found = [each["deployed_app_config"] for each in applications.values() if each.get("deployed_app_config")]
    if not found:
        raise MeasurementError(f"Serve at {address.url} has no application")
    runtime_env = {**found[-1].get("runtime_env", {}), "env_vars": {"PYTHONPATH": str(SOURCE)}}
    return {"import_path": _ENTRY_POINT, "runtime_env": runtime_env, "args": found[-1]["args"]}


def _runs(address: RayAddress) -> bool:
    """Whether all replicas of the application do.

    Raises:
        MeasurementError: they never will.
    """
    found = _serve(address, "GET").json()["applications"].get("flights", {})
    if found.get("status") == "DEPLOY_FAILED":
        raise MeasurementError(f"the application does not start with Serve's defaults: {found.get('message')}")
    return bool(found.get("status") == "RUNNING")


def _deploy(address: RayAddress, port: int, application: Mapping[str, Any]) -> None:
    body = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [application]}
    _serve(address, "PUT", body)


def _serve(address: RayAddress, method: str, body: Any = None) -> httpx.Response:
    try:
        with open_sync_client(address, 120) as client:
            return client.request(method, _APPLICATIONS, json=body).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise MeasurementError(f"{error}: {error.response.text[:2000]}") from error
    except httpx.HTTPError as error:
        raise MeasurementError(f"Serve at {address.url}: {error}") from error


def _predicts(url: str, key: str) -> bool:
    return answers(url, payloads.flights()[0], key)
