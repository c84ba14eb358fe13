"""A Serve application with the HTTP surface of a real one and nothing else, whose faults are chosen by its contract's name.

It is packed into a zip and imported by Serve's replicas; of ours it imports nothing but how answers are written to clients. A
version can also turn bad while it runs: `faults/<label>` in its object store holds the share of predictions that fail from
then on, or `crash`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from ray import serve

from heliostat.ml import whole_answers

BEHAVIOURS = ("fine", "crashes", "never_healthy", "wrong", "slow_start", "slow_answers")


class TinyApp:
    """A raw ASGI application."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._prefix = arguments["routePrefix"]
        self._label = arguments["version"]["label"]
        self._fault = Path(arguments["version"]["store"]["uri"].removeprefix("file://"), "faults", self._label)
        self._behaviour = arguments["version"]["contract"].partition(":")[2]
        if self._behaviour == "crashes":
            raise ValueError(f"the model of {self._label} has no column 'altitude'")
        if self._behaviour == "slow_start":
            time.sleep(6)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body = await _body(receive)
        path = scope["path"].removeprefix(self._prefix)
        status, answer = await self._answer(scope["method"], path, body, dict(scope["headers"]))
        headers = [(b"content-type", b"application/json"), (b"x-heliostat-version", self._label.encode())]
        identity = dict(scope["headers"]).get(b"x-request-id")
        if identity:
            headers.append((b"x-request-id", identity))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def _answer(self, method: str, path: str, body: bytes, headers: dict[bytes, bytes]) -> tuple[int, Any]:
        if path == "/healthz":
            healthy = self._behaviour != "never_healthy"
            return (200 if healthy else 503), {"version": self._label}
        if path == "/-/golden" and method == "POST":
            if self._behaviour == "wrong":
                return 500, {"failures": [{"name": "request 1", "reason": "expected late=true, got false"}]}
            return 200, {"passed": 3}
        if path == "/predict" and method == "POST":
            if self._behaviour == "slow_answers":
                await asyncio.sleep(0.5)
            if self._fault.exists() and self._is_bad(self._fault.read_text()):
                return 500, {"version": self._label, "detail": "the model is broken"}
            return 200, {"version": self._label, "pid": os.getpid(), "bytes": len(body)}
        return 404, {"detail": f"no {path}"}

    def _is_bad(self, fault: str) -> bool:
        if fault == "crash":
            os._exit(1)
        return random.random() < float(fault)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await whole_answers.install()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def build(arguments: dict[str, Any]) -> serve.Application:
    """What Serve imports."""

    def make() -> TinyApp:
        return TinyApp(arguments)

    @serve.deployment(
        name="model",
        num_replicas=arguments["replicas"],
        max_ongoing_requests=arguments["maxOngoingRequests"],
        ray_actor_options={"num_cpus": arguments["cpusPerReplica"]},
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=2,
    )
    @serve.ingress(make)
    class Tiny:
        pass

    return Tiny.bind()
