"""A full disk keeps no replica out of the traffic plane, and moves no share back."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from test_full_disk import calm, full

from heliostat.controller.backends.haproxy import plane_of
from heliostat.controller.store import Store
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.systems.errors import PermanentError
from heliostat.traffic.haproxy import HAProxyRouter
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

__all__ = ["calm"]


class Socket:
    """HAProxy's runtime socket, which takes every command."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = (await reader.readline()).decode().strip()
        self.commands.append(command)
        writer.write(b"New server registered.\n" if command.startswith("add server") else b"\n")
        await writer.drain()
        writer.close()


class Plane:
    """The traffic plane of one application, with one replica."""

    def __init__(self, directory: Path, socket: Socket) -> None:
        inputs = ControllerInputs(
            directory=str(directory),
            ray=RayAddress(url="http://127.0.0.1:1"),
            store=StoreAddress(uri=f"file://{directory}/objects"),
            tracking_uri="http://mlflow",
        )
        settings = ControllerSettings(
            inputs=inputs, api_port=20001, public_port=20002, serve_port=20003, runtime_directory=str(directory)
        )
        self.directory = directory
        self.socket = socket
        self.store = Store(directory)
        self.traffic = HAProxyRouter(plane_of(settings), self.store)
        self.found: dict[str, dict[str, EndpointState]] = {"flights-blue": {}, "flights-green": {}}

    async def apply(self, *names: str, share: int = 0) -> list[str]:
        """What HAProxy is told where these replicas shall serve."""
        self.socket.commands.clear()
        servers = tuple(Endpoint(name, "127.0.0.1", 30_000 + number) for number, name in enumerate(names))
        wanted = {"flights": ApplicationRoute(share, ColourRoute(servers, frozenset(names)), ColourRoute())}
        await self.traffic.apply(wanted, TrafficSnapshot(self.found, {"flights": share}))
        return list(self.socket.commands)

    def has(self, name: str, number: int, draining: bool) -> None:
        server = Endpoint(name, "127.0.0.1", 30_000 + number)
        self.found["flights-blue"][name] = EndpointState(server, not draining, True, draining, 0)

    def block(self) -> None:
        """Neither the store nor HAProxy's files can be written."""
        full(self.store)
        for path in (self.traffic.plane.map_file, self.traffic.plane.config_file):
            path.with_suffix(path.suffix + ".tmp").mkdir()

    def clear(self) -> None:
        full(self.store, False)
        for path in (self.traffic.plane.map_file, self.traffic.plane.config_file):
            path.with_suffix(path.suffix + ".tmp").rmdir()


@pytest_asyncio.fixture
async def plane() -> AsyncIterator[Plane]:
    directory = Path(tempfile.mkdtemp(prefix="hs-"))  # a socket's path is short
    socket = Socket()
    found = Plane(directory, socket)
    found.traffic.plane.runtime_socket.parent.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(socket.serve, str(found.traffic.plane.runtime_socket))
    try:
        async with server:
            yield found
    finally:
        shutil.rmtree(directory)


async def test_a_replacement_replica_is_added_and_let_in_although_nothing_can_be_written(plane: Plane) -> None:
    plane.has("old", 0, draining=False)
    assert await plane.apply("old") == []
    plane.block()
    commands = await plane.apply("old", "new")
    assert "add server flights-blue/new" in commands[0]
    plane.has("new", 1, draining=True)
    assert any("flights-blue/new state ready" in command for command in await plane.apply("old", "new"))
    assert "new" not in plane.traffic.plane.config_file.read_text()
    plane.clear()
    plane.has("new", 1, draining=False)
    assert await plane.apply("old", "new") == []
    assert "new" in plane.traffic.plane.config_file.read_text()
    assert [server.name for server in Store(plane.directory).routes()["flights"].blue] == ["new", "old"]


async def test_a_share_is_moved_although_it_cannot_be_written(plane: Plane) -> None:
    plane.has("old", 0, draining=False)
    await plane.apply("old")
    plane.block()
    await plane.traffic.set_share("flights", 2_500)
    assert plane.socket.commands[-1].endswith("flights 2500")
    assert plane.traffic.as_before("flights").share == 2_500
    plane.clear()
    await plane.apply("old", share=2_500)
    assert "flights 2500" in plane.traffic.plane.map_file.read_text()
    assert Store(plane.directory).routes()["flights"].green_share == 2_500


async def test_nothing_is_reloaded_from_files_of_before(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    reloads: list[object] = []

    async def reload(found: object) -> None:
        reloads.append(found)

    monkeypatch.setattr("heliostat.systems.haproxy.reload", reload)
    plane.has("old", 0, draining=False)
    await plane.apply("old")
    plane.block()
    plane.found["trains-blue"] = {}
    plane.has("new", 1, draining=True)
    assert any("flights-blue/new state ready" in command for command in await plane.apply("old", "new"))
    assert reloads == []
    plane.clear()
    await plane.apply("old", "new")
    assert len(reloads) == 1


async def test_haproxy_that_ended_is_started_with_the_files_that_it_has(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr("heliostat.systems.processes.start", started.append)

    async def snapshot(found: object) -> TrafficSnapshot:
        return TrafficSnapshot({}, {})

    monkeypatch.setattr("heliostat.systems.haproxy.snapshot", snapshot)
    plane.block()
    with pytest.raises(PermanentError, match="HAProxy cannot be started"):
        await plane.traffic.ensure()
    plane.clear()
    await plane.apply()
    plane.block()
    await plane.traffic.ensure()
    assert len(started) == 1
