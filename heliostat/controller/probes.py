"""What a kubelet asks a controller, without a token: whether it is alive, and whether it takes calls."""

from __future__ import annotations

import time

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from heliostat.controller.reconciler import Reconciler

_STUCK_SECONDS = 120.0
"""Without the beginning of another pass; one takes some seconds at most, whoever does not answer it."""


def add_probes(app: FastAPI, reconciler: Reconciler) -> None:
    """Add them. What is behind the controller does not count: it goes on without a cluster, and agents need it to begin."""

    async def alive(request: Request) -> Response:
        silent = time.monotonic() - reconciler.looked_at
        if silent > _STUCK_SECONDS:
            return PlainTextResponse(f"no look for {silent:.0f} s, of {_STUCK_SECONDS:g}\n", 503)
        return PlainTextResponse("alive\n")

    async def ready(request: Request) -> Response:
        return PlainTextResponse("ready\n")

    # Beside FastAPI's own routes, which need the token.
    app.add_route("/healthz", alive)
    app.add_route("/readyz", ready)
