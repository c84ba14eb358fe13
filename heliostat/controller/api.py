"""The controller's API (`heliostat.spec.rollouts` says it whole), on loopback, for who has the token."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

import heliostat
from heliostat.controller.alarms_api import AlarmOrders, add_alarms
from heliostat.controller.backends.fleet import FleetRouter
from heliostat.controller.changes import add_changes
from heliostat.controller.consent import Consents
from heliostat.controller.doors import Door, Guard
from heliostat.controller.governance_api import add_governance
from heliostat.controller.metrics import CONTENT_TYPE, Metrics
from heliostat.controller.monitor_states import MonitorStates
from heliostat.controller.permissions import authorize, identity
from heliostat.controller.points import samples
from heliostat.controller.probes import add_probes
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.reviews import Reviews, add_reviews
from heliostat.controller.step_counters import StepCounters
from heliostat.controller.task_queues import TaskQueues, add_task_queues
from heliostat.controller.traffic_api import add_traffic
from heliostat.controller.unexpected_requests import UnexpectedRequests
from heliostat.controller.views import current, past
from heliostat.controller.views import status as status_of
from heliostat.rollout.model import Observed, State
from heliostat.spec.base import Name, make_all
from heliostat.spec.roles import Identity, Permission
from heliostat.spec.rollouts import Health, Record, Rollout, RolloutEvent, Status
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store

_LONGEST_WAIT_SECONDS = 60.0


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
        state, found = self.state(name), self._reconciler.observed.get(name)
        return status_of(state, found, self._events(state), self.public_url, self._reconciler.now())

    def rollouts(self, name: str) -> tuple[Rollout, ...]:
        """An application's rollouts, the newest first, without their events."""
        state = self.state(name)
        newest = self._current(state, ())
        older = (past(each) for each in self._reconciler.store.rollouts(name) if newest and each.number != newest.number)
        return (newest, *older) if newest is not None else ()

    def record(self, name: str, number: int) -> Record:
        """One of them with all that is kept of it; 404 where it is not remembered."""
        state, store = self.state(name), self._reconciler.store
        progress = store.rollout(name, number)
        if progress is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no rollout {number}, or it is forgotten")
        self._reconciler.meter.save(name)
        events = store.events(name, number)
        newest = state.rollout is not None and state.rollout.number == number
        rollout = (self._current(state, events) if newest else None) or past(progress, events)
        return Record(application=name, rollout=rollout, samples=samples(store.points(name, number), progress.candidate))

    def _current(self, state: State, events: tuple[RolloutEvent, ...]) -> Rollout | None:
        return current(state, self._reconciler.observed.get(state.name, Observed()), events, self._reconciler.now())

    def _events(self, state: State) -> tuple[RolloutEvent, ...]:
        number = state.rollout.number if state.rollout is not None else 0
        return self._reconciler.store.events(state.name, number)


def create_app(
    reconciler: Reconciler,
    token: str,
    public_url: str,
    read_again: Callable[[str], str] = lambda refused: refused,
    agents_door: Door | None = None,
    queues: TaskQueues | None = None,
) -> FastAPI:
    """The application; every call needs `token`, or what `read_again` finds in its place where a call carries another.

    `agents_door` lets in to what agents of the traffic plane ask, and to nothing else. Probes need nothing. `queues` are asked
    about tasks; by default they are its own.
    """
    make_all()  # FastAPI misreads what is not
    guard = Depends(Guard(Door(token, read_again), agents_door, reconciler.store.access.read))
    version = heliostat.__version__
    app = FastAPI(title="heliostat controller", version=version, dependencies=[guard, Depends(authorize)], openapi_url=None)
    views = Views(reconciler, public_url)
    queues = queues or TaskQueues(reconciler)
    _add_health(app, reconciler, public_url)
    _add_metrics(app, reconciler, queues)
    _add_reads(app, reconciler, views)
    add_task_queues(app, queues, views.state, reconciler)
    add_changes(app, reconciler, views.state, views.status)
    if isinstance(reconciler.traffic, FleetRouter):
        add_traffic(app, reconciler.traffic)
    add_governance(app, reconciler)
    add_alarms(app, AlarmOrders(reconciler))
    add_reviews(app, Reviews(reconciler))
    add_probes(app, reconciler)
    _add_errors(app)
    return app


def _add_health(app: FastAPI, reconciler: Reconciler, public_url: str) -> None:
    @app.get("/v1/health")
    async def health() -> Health:
        return Health(
            version=heliostat.__version__,
            haproxy=reconciler.traffic.alive,
            ray=reconciler.ray_answers,
            ray_url=reconciler.settings.inputs.ray.url,
            former_ray_urls=reconciler.backend.clusters[1:],
            groups={name: group.most for name, group in reconciler.settings.groups.items()},
            public_url=public_url,
            store_error=reconciler.store.faults.error,
        )


def _add_metrics(app: FastAPI, reconciler: Reconciler, queues: TaskQueues) -> None:
    steps, consents = StepCounters(reconciler), Consents(reconciler)
    monitors = MonitorStates(lambda: open_store(reconciler.settings.inputs.store))
    unexpected = UnexpectedRequests(reconciler)
    metrics = Metrics(reconciler, queues, steps, consents, monitors, unexpected)

    @app.get("/metrics")
    async def scrape() -> Response:
        counted = (steps.refresh(), consents.refresh(), unexpected.refresh())
        await asyncio.gather(queues.refresh(), monitors.refresh(), *counted)
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_reads(app: FastAPI, reconciler: Reconciler, views: Views) -> None:
    @app.get("/v1/applications")
    async def applications(who: Annotated[Identity, Depends(identity)]) -> tuple[Status, ...]:
        return tuple(views.status(name) for name in sorted(reconciler.states) if who.may(Permission.SEE, name))

    @app.get("/v1/applications/{name}")
    async def read(name: Name) -> Status:
        return views.status(name)

    @app.get("/v1/applications/{name}/rollouts")
    async def rollouts(name: Name) -> tuple[Rollout, ...]:
        return views.rollouts(name)

    @app.get("/v1/applications/{name}/rollouts/{number}")
    async def record(name: Name, number: int) -> Record:
        return views.record(name, number)

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


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: Exception) -> Response:
        mistakes = error.errors() if isinstance(error, RequestValidationError) else []
        lines = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in mistakes]
        return JSONResponse({"detail": "; ".join(lines)}, status.HTTP_422_UNPROCESSABLE_CONTENT)

    @app.exception_handler(KeyError)
    async def gone(request: Request, error: Exception) -> Response:
        # It was removed between two passes.
        return JSONResponse({"detail": "the application is gone"}, status.HTTP_404_NOT_FOUND)

    @app.exception_handler(RetryableError)
    async def away(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)

    @app.exception_handler(PermanentError)
    async def refused(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status.HTTP_409_CONFLICT)

    @app.exception_handler(sqlite3.Error)
    async def unwritten(request: Request, error: Exception) -> Response:
        text = f"nothing was changed: it cannot be written down: {error}; where the disk is full, free some space"
        return JSONResponse({"detail": text}, status.HTTP_503_SERVICE_UNAVAILABLE)
