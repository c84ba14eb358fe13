"""Which of the platform's services come back by themselves when they die."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from heliostat.provider import controller
from heliostat.provider.resource import Context
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.controller import KEEPER_SERVICE, SERVICE
from heliostat.spec.platform_resources import ControllerInputs, TrackingServerInputs
from heliostat.systems import keeper, processes
from heliostat.systems.mlflow_server import MlflowServer

CONTEXT = Context("urn", lambda text: None, lambda text: None, lambda text: None, asyncio.Event())


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, processes.Service]:
    """What is started instead of running, by name; all of it answers at once."""
    found: dict[str, processes.Service] = {}

    async def at_once(*arguments: object) -> None:
        pass

    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(processes, "start", lambda service: found.setdefault(service.name, service))
    monkeypatch.setattr(controller, "_until_healthy", at_once)
    monkeypatch.setattr(MlflowServer, "_until_healthy", at_once)
    return found


async def test_the_controller_and_what_keeps_it_are_kept_and_so_are_the_folders_that_are_declared(
    tmp_path: Path, started: dict[str, processes.Service]
) -> None:
    directory, mlflow = tmp_path / "controller", tmp_path / "mlflow"
    directory.mkdir()
    inputs = ControllerInputs(
        directory=str(directory),
        ray=RayAddress(url="http://127.0.0.1:1"),
        store=StoreAddress(uri=f"file://{tmp_path}/objects"),
        tracking_uri="http://127.0.0.1:1",
        keeps=(str(mlflow),),
    )
    await controller.ControllerHandler().create(CONTEXT, inputs)
    assert {name: service.kept for name, service in started.items()} == {SERVICE: True, KEEPER_SERVICE: True}
    watched = started[KEEPER_SERVICE].argv
    assert watched[watched.index(keeper.__file__) + 1 :] == (str(directory), str(mlflow))


async def test_mlflow_is_kept(tmp_path: Path, started: dict[str, processes.Service]) -> None:
    inputs = TrackingServerInputs(
        directory=str(tmp_path / "mlflow"), artifacts=StoreAddress(uri=f"file://{tmp_path}/objects"), on_destroy="delete"
    )
    await MlflowServer(tmp_path / "mlflow").start(inputs, lambda text: None)
    assert [service.kept for service in started.values()] == [True]
