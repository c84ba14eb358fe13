"""What a pod's agent answers on its own port, to anybody: probes of Kubernetes, and how it is, for its peers."""

from __future__ import annotations

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from heliostat.traffic.agent import Agent

_STUCK_SECONDS = 60.0
"""Without a look at HAProxy, which takes some seconds at most, an agent is not alive."""


def create_app(agent: Agent) -> Starlette:
    """The application."""

    async def alive(request: Request) -> Response:
        silent = time.monotonic() - agent.looked_at
        if silent > _STUCK_SECONDS:
            return PlainTextResponse(f"no look at HAProxy for {silent:.0f} s, of {_STUCK_SECONDS:g}\n", 503)
        return PlainTextResponse("alive\n")

    async def ready(request: Request) -> Response:
        reason = agent.unready
        return PlainTextResponse("ready\n") if reason is None else PlainTextResponse(f"{reason}\n", 503)

    async def peer(request: Request) -> Response:
        return Response(agent.sight.model_dump_json(), media_type="application/json")

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready), Route("/peer", peer)])
