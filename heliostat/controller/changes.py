"""The calls of the API that change something, or say what a change would do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

from fastapi import FastAPI, HTTPException, status

from heliostat.controller import going_back, ledger
from heliostat.controller.capacity import room_for
from heliostat.controller.reconciler import Reconciler
from heliostat.rollout import orders
from heliostat.rollout.model import Observed, State, Step
from heliostat.rollout.plan import plan
from heliostat.rollout.shares import problem
from heliostat.spec.base import Name
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Declaration, Desired, GoBack, Plan, Status, Word
from heliostat.systems.objects import open_store

_LOOK_SECONDS = 20.0
"""How long a declaration waits for the loop, which may be starting Serve for another one."""


class Changes:
    """What people and programs ask for."""

    def __init__(self, reconciler: Reconciler, state: Callable[[str], State], show: Callable[[str], Status]) -> None:
        """`state` and `show` say 404 where there is no such application."""
        self._reconciler = reconciler
        self._state = state
        self._show = show

    async def declare(self, name: str, declaration: Declaration) -> Status:
        """Take a declaration, and answer once the rollout that it began is to be seen."""
        _refuse(declaration.desired)
        await self._fits(name, declaration)
        with _conflicts():
            self._reconciler.declare(name, declaration)
        return await self._looked_at(name)

    async def plan(self, name: str, declaration: Declaration) -> Plan:
        """What declaring it would do."""
        desired = declaration.desired
        _refuse(desired)
        settings, store = self._reconciler.settings, self._reconciler.store
        room = await room_for(name, settings.inputs.ray, self._reconciler.serve)
        nodes, held = room if room is not None else (None, ())
        state = self._reconciler.states.get(name, State(name=name))
        if declaration.retry_refused:
            state = orders.retry(state, desired)
        startup, gap = store.measured(name, "startup_seconds"), store.measured(name, "gap_seconds")
        return plan(state, desired, startup, gap, nodes, held)

    async def rollback(self, name: str, order: GoBack) -> Status:
        """Have what an entry of the ledger names serve again; what is still warm needs nothing and is asked nothing."""
        state = self._state(name)
        observed = self._reconciler.observed.get(name, Observed())
        with _conflicts():
            desired = await self._way_back(state, order)
            if not going_back.is_warm(state, observed, desired):
                await self._is_there(desired)
                await self._fits(name, Declaration(desired=desired, retry_refused=True))
            self._reconciler.go_back(name, desired, order)
        return await self._looked_at(name)

    def say(self, name: str, word: Word, order: Callable[[State, Word, float], Step]) -> Status:
        """Take a person's word on a rollout."""
        self._state(name)
        with _conflicts():
            self._reconciler.say(name, word, order)
        return self._show(name)

    async def _way_back(self, state: State, order: GoBack) -> Desired:
        desired = going_back.kept(state) if order.to is None else None
        if desired is None:
            waiting = self._reconciler.store.waiting(state.name)
            desired = await asyncio.to_thread(self._from_ledger, state, order.to, waiting)
        return desired

    async def _is_there(self, desired: Desired) -> None:
        gone = await asyncio.to_thread(going_back.missing, desired.version)
        if gone:
            text = f"{desired.version.label} cannot serve again: {' and '.join(gone)} is gone; choose another entry"
            raise going_back.NoWayBackError(text)

    def _from_ledger(self, state: State, number: int | None, waiting: tuple[Entry, ...]) -> Desired:
        """What to go back to; `waiting` is what the ledger was not told yet."""
        objects = open_store(self._reconciler.settings.inputs.store)
        if number is None:
            return going_back.before(state, chain(reversed(waiting), ledger.newest_first(objects, state.name)))
        entry = ledger.read(objects, state.name, number)
        return going_back.at(state.name, number, entry, ledger.last_number(objects, state.name) if entry is None else 0)

    async def _fits(self, name: str, declaration: Declaration) -> None:
        """409 where the cluster cannot hold what this needs on top; what is on its way already has its place."""
        state = self._reconciler.states.get(name)
        rollout = state.rollout if state is not None else None
        if rollout is not None and not rollout.ended and rollout.target == declaration.desired:
            return
        found = await self.plan(name, declaration)
        if found.shortage is not None and found.refused is None:
            raise HTTPException(status.HTTP_409_CONFLICT, found.shortage)

    async def _looked_at(self, name: str) -> Status:
        """The status, once the loop has looked at it, so that it shows the rollout that began."""
        deadline = time.monotonic() + _LOOK_SECONDS
        while self._reconciler.states[name].pending and time.monotonic() < deadline:
            await self._reconciler.news(0.1)
        if self._reconciler.states[name].pending and not self._reconciler.ray_answers:
            text = f"the cluster has not answered for {_LOOK_SECONDS:g} s; {name} is declared and begins once it does"
            raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, text)
        return self._show(name)


def add_changes(app: FastAPI, reconciler: Reconciler, state: Callable[[str], State], show: Callable[[str], Status]) -> None:
    """Add the calls to the API."""
    changes = Changes(reconciler, state, show)

    @app.put("/v1/applications/{name}")
    async def declare(name: Name, declaration: Declaration) -> Status:
        return await changes.declare(name, declaration)

    @app.post("/v1/applications/{name}/plan")
    async def preview(name: Name, declaration: Declaration) -> Plan:
        return await changes.plan(name, declaration)

    @app.post("/v1/applications/{name}/approve")
    async def approve(name: Name, word: Word) -> Status:
        return changes.say(name, word, orders.approve)

    @app.post("/v1/applications/{name}/abort")
    async def abort(name: Name, word: Word) -> Status:
        return changes.say(name, word, orders.abort)

    @app.post("/v1/applications/{name}/rollback")
    async def rollback(name: Name, order: GoBack) -> Status:
        return await changes.rollback(name, order)

    @app.delete("/v1/applications/{name}", status_code=status.HTTP_202_ACCEPTED)
    async def delete(name: Name) -> Status:
        state(name)
        reconciler.delete(name)
        return show(name)


@contextmanager
def _conflicts() -> Iterator[None]:
    """What does not go with what is, as a 409 that says so."""
    try:
        yield
    except (orders.OrderError, going_back.NoWayBackError) as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None


def _refuse(desired: Desired) -> None:
    text = problem(desired)
    if text is not None:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, text)
