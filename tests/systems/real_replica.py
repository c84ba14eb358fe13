"""A replica's own connections with the application of a small contract behind them, for tests of the real HAProxy."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any

from serving_fakes import Halves, Log, contract, version

from heliostat.ml.contracts import Contract
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.grpc.application import GrpcApplication
from heliostat.serving.grpc.definition import define
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.connection import Connection
from heliostat.serving.slots import Slots
from heliostat.spec.endpoints import Endpoint, route_prefix
from heliostat.spec.proto import text_of
from heliostat.spec.workload import Interface


async def _serves(scope: Any, receive: Any, send: Any) -> None:
    """Serve's own application: its health check."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class RealReplica:
    """Listens, as uvicorn would have it do."""

    def __init__(
        self, label: str, name: str = "flights", colour: str = "blue", given: Contract[Any, Any] | None = None
    ) -> None:
        made = given or contract(predictor=Halves)
        self.log = Log()
        plane = DataPlane(made, made.predictor(), version(label, interface=Interface.BOTH), self.log)  # type: ignore[arg-type, call-arg]
        rest = RestApplication(plane, f"/{name}")
        self.application = GrpcApplication(plane, rest, name, text_of(define(made, name)))
        self._label, self._prefix = label, route_prefix(name, colour)
        self._state = SimpleNamespace(connections=set(), tasks=set())

    async def start(self) -> RealReplica:
        """Listen."""
        config = SimpleNamespace(loaded_app=_serves, timeout_keep_alive=30.0)
        made = partial(
            Connection, self.application, self._prefix, Slots(8), config=config, server_state=self._state, app_state={}
        )
        self._server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        self.endpoint = Endpoint(self._label, *self._server.sockets[0].getsockname()[:2])
        return self

    def kill(self) -> None:
        """End at once."""
        self._server.close()
        for connection in list(self._state.connections):
            connection._transport.abort()
