"""The controller's API (`heliostat.spec.rollouts` says it whole), on loopback, for who has the token."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

import heliostat
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.views import status as status_of
from heliostat.rollout.model import State
from heliostat.rollout.plan import plan
from heliostat.rollout.shares import problem
from heliostat.spec.base import Name
from heliostat.spec.rollouts import Desired, Health, Plan, RolloutEvent, Status

_LONGEST_WAIT_SECONDS = 60.0
_LOOK_SECONDS = 20.0
"""How long a declaration waits for the loop, which may be starting Serve for another one."""


class Views:
    """Answers from what the reconciler knows."""

    def __init__(self, reconciler: Reconciler, public_url: str) -> None:
        self._reconciler = reconciler
        self.public_url = public_url

    def state(self, name: str) -> State:
        """A known application; 404 otherwise."""
        state = self._reconciler.states.get(name)
        if state is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"no application {name!r} is declared")
        return state

    def status(self, name: str) -> Status:
        """An application as the controller sees it."""
        state = self.state(name)
        return status_of(state, self._reconciler.observed.get(name), self._events(state), self.public_url)

    def _events(self, state: State) -> tuple[RolloutEvent, ...]:
        number = state.rollout.number if state.rollout is not None else 0
        return self._reconciler.store.events(state.name, number)


def create_app(reconciler: Reconciler, token: str, public_url: str) -> FastAPI:
    """The application; every call needs `token`."""
    guard = Depends(_guard(token))
    version = heliostat.__version__
    app = FastAPI(title="heliostat controller", version=version, dependencies=[guard], openapi_url=None)
    views = Views(reconciler, public_url)
    _add_reads(app, reconciler, views)
    _add_changes(app, reconciler, views)
    return app


def _add_reads(app: FastAPI, reconciler: Reconciler, views: Views) -> None:
    @app.get("/v1/health")
    async def health() -> Health:
        return Health(
            version=heliostat.__version__, haproxy=reconciler.traffic.alive, ray=reconciler.ray_answers, public_url=public
        )

    @app.get("/v1/applications/{name}")
    async def read(name: Name) -> Status:
        return views.status(name)

    @app.get("/v1/applications/{name}/wait")
    async def wait(
        name: Name,
        rollout: Annotated[int, Query(ge=0)],
        after: Annotated[int, Query(ge=0)],
        seconds: Annotated[float, Query(gt=0, le=_LONGEST_WAIT_SECONDS)] = 25.0,
    ) -> Status:
        deadline = time.monotonic() + seconds
        while True:
            found = views.status(name)
            newest = found.rollout
            if newest is not None and (newest.number > rollout or (newest.number == rollout and len(newest.events) > after)):
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return found
            await reconciler.news(left)

    public = views.public_url


def _add_changes(app: FastAPI, reconciler: Reconciler, views: Views) -> None:
    @app.put("/v1/applications/{name}")
    async def declare(name: Name, desired: Desired) -> Status:
        _refuse(desired)
        reconciler.declare(name, desired)
        # Until the loop has looked at it, so that the answer shows the rollout that this began.
        deadline = time.monotonic() + _LOOK_SECONDS
        while reconciler.states[name].pending and time.monotonic() < deadline:
            await reconciler.news(0.1)
        if reconciler.states[name].pending and not reconciler.ray_answers:
            text = f"the cluster has not answered for {_LOOK_SECONDS:g} s; {name} is declared and begins once it does"
            raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, text)
        return views.status(name)

    @app.post("/v1/applications/{name}/plan")
    async def preview(name: Name, desired: Desired) -> Plan:
        _refuse(desired)
        state = reconciler.states.get(name, State(name=name))
        store = reconciler.store
        return plan(state, desired, store.measured(name, "startup_seconds"), store.measured(name, "gap_seconds"))

    @app.delete("/v1/applications/{name}", status_code=status.HTTP_202_ACCEPTED)
    async def delete(name: Name) -> Status:
        views.state(name)
        reconciler.delete(name)
        return views.status(name)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: Exception) -> Response:
        mistakes = error.errors() if isinstance(error, RequestValidationError) else []
        lines = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in mistakes]
        return JSONResponse({"detail": "; ".join(lines)}, status.HTTP_422_UNPROCESSABLE_CONTENT)

    @app.exception_handler(KeyError)
    async def gone(request: Request, error: Exception) -> Response:
        # It was removed between two looks.
        return JSONResponse({"detail": "the application is gone"}, status.HTTP_404_NOT_FOUND)


def _refuse(desired: Desired) -> None:
    text = problem(desired)
    if text is not None:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, text)


def _guard(token: str) -> Callable[[Request], Awaitable[None]]:
    expected = f"Bearer {token}".encode()

    async def check(request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})

    return check
