"""A Serve application with the HTTP surface of a real one and nothing else, whose faults are chosen by its contract's name.

It is packed into a zip and imported by Serve's replicas; of ours it imports nothing but how clients' connections are kept. A
version can also turn bad while it runs: `faults/<label>` in its object store holds the share of predictions that fail from
then on, or `crash`.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ray import serve

from heliostat.serving.rest.connection import Connection
from heliostat.serving.rest.exchange import JSON, Request, Response
from heliostat.serving.slots import Slots
from heliostat.systems import serve_ingress

BEHAVIOURS = ("fine", "crashes", "never_healthy", "wrong", "slow_start", "slow_answers")


class TinyApp:
    """What answers requests in one replica."""

    max_body_bytes = 1 << 20

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._label = arguments["version"]["label"]
        self._fault = Path(arguments["version"]["store"]["uri"].removeprefix("file://"), "faults", self._label)
        self._behaviour = arguments["version"]["contract"].partition(":")[2]
        if self._behaviour == "crashes":
            raise ValueError(f"the model of {self._label} has no column 'altitude'")
        if self._behaviour == "slow_start":
            time.sleep(6)

    def reply(self, request: Request) -> Response | Callable[[], Response]:
        if request.path == "/predict" and self._behaviour == "slow_answers":
            return partial(self._replied, request, 0.5)
        return self._replied(request)

    def too_large(self, request: Request, size: int) -> Response:
        return Response(413, JSON, b"{}")

    def _replied(self, request: Request, seconds: float = 0.0) -> Response:
        if seconds:
            time.sleep(seconds)
        status, answer = self._answer(request.method, request.path, request.body)
        fields = [(b"x-heliostat-version", self._label.encode())]
        if identity := request.headers.get(b"x-request-id"):
            fields.append((b"x-request-id", identity))
        return Response(status, JSON, json.dumps(answer).encode(), tuple(fields))

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/healthz":
            healthy = self._behaviour != "never_healthy"
            return (200 if healthy else 503), {"version": self._label}
        if path == "/-/golden" and method == "POST":
            if self._behaviour == "wrong":
                return 500, {"failures": [{"name": "request 1", "reason": "expected late=true, got false"}]}
            return 200, {"passed": 3}
        if path == "/predict" and method == "POST":
            if self._fault.exists() and self._is_bad(self._fault.read_text()):
                return 500, {"version": self._label, "detail": "the model is broken"}
            return 200, {"version": self._label, "pid": os.getpid(), "bytes": len(body)}
        return 404, {"detail": f"no {path}"}

    def _is_bad(self, fault: str) -> bool:
        if fault == "crash":
            os._exit(1)
        return random.random() < float(fault)


def build(arguments: dict[str, Any]) -> serve.Application:
    """What Serve imports."""
    deployment: Any = serve.deployment(serve.ingress()(Replica))
    return deployment.options(
        name="model",
        num_replicas=arguments["replicas"],
        max_ongoing_requests=arguments["maxOngoingRequests"],
        ray_actor_options={"num_cpus": arguments["cpusPerReplica"]},
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=2,
    ).bind(arguments)


class Replica:
    """One replica."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._prefix, self._slots = arguments["routePrefix"], Slots(arguments["maxOngoingRequests"])
        self._application = TinyApp(arguments)

    async def __serve_build_asgi_app__(self) -> Any:
        serve_ingress.listen_with(partial(Connection, self._application, self._prefix, self._slots))
        return nothing

    def reconfigure(self, config: dict[str, Any]) -> None:
        self._slots.limit = config["maxOngoingRequests"]
        self._slots.fill()


async def nothing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Nothing comes this way but the beginning and the end."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
    raise AssertionError(f"{scope['path']} passed through Serve")
