"""The calls of the API that change something, or say what a change would do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, takewhile
from typing import Any

from fastapi import FastAPI, HTTPException, status

from heliostat.controller import ledger, rollback_targets
from heliostat.controller.audit import event
from heliostat.controller.permissions import Who
from heliostat.controller.reconciler import Reconciler
from heliostat.rollout import clusters, orders, show
from heliostat.rollout.model import Observed, State, Step
from heliostat.rollout.plan import plan
from heliostat.rollout.shares import problem
from heliostat.spec.audit import AuditEvent
from heliostat.spec.base import Name
from heliostat.spec.capabilities import unsupported
from heliostat.spec.ledger import Entry
from heliostat.spec.roles import Identity
from heliostat.spec.rollouts import ActionRequest, Declaration, Desired, Plan, RollbackRequest, RollbackTarget, Status
from heliostat.systems.objects import open_store
from heliostat.systems.store_lifecycle import emptied_at

_LOOK_SECONDS = 20.0
"""How long a declaration waits for the loop, which may be waiting for the cluster's account."""


class Changes:
    """What people and programs ask for."""

    def __init__(self, reconciler: Reconciler, state: Callable[[str], State], status: Callable[[str], Status]) -> None:
        """`state` and `status` say 404 where there is no such application."""
        self._reconciler = reconciler
        self._state = state
        self._show = status

    async def declare(self, name: str, declaration: Declaration, who: Identity) -> Status:
        """Take a declaration, and answer once the rollout that it began is to be seen."""
        self._refuse(declaration.desired)
        with _conflicts():
            desired = clusters.aimed(declaration.desired, self._reconciler.backend.clusters)
        declaration = declaration.model_copy(update={"desired": desired})
        await self._fits(name, declaration)
        with _conflicts():
            self._reconciler.declare(name, declaration, self._declared(name, declaration, who))
        return await self._looked_at(name)

    async def plan(self, name: str, declaration: Declaration) -> Plan:
        """What declaring it would do."""
        desired = declaration.desired
        self._refuse(desired)
        store, backend = self._reconciler.store, self._reconciler.backend
        # What is to come to a cluster that is yet to be made finds the room there that its own stack asks for.
        known = not backend.clusters[0] or desired.cluster in ("", *backend.clusters)
        desired = clusters.aimed(desired, backend.clusters) if known else desired
        room = await backend.room(name) if known else None
        nodes, held = room if room is not None else (None, ())
        state = self._reconciler.states.get(name, State(name=name))
        if declaration.retry_refused:
            state = orders.retry(state, desired)
        startup, gap = store.measured(name, "startup_seconds"), store.measured(name, "gap_seconds")
        return plan(state, desired, startup, gap, nodes, held)

    async def way_back(self, name: str) -> RollbackTarget:
        """What a rollback that names no entry would go back to, where nothing would keep it from that."""
        order = RollbackRequest(by="somebody")
        with _conflicts():
            found = await self._chosen(name, order)
            orders.roll_back(self._state(name), found.desired, self._observed(name), order, self._reconciler.now())
        return found

    async def rollback(self, name: str, order: RollbackRequest, who: Identity) -> Status:
        """Have what served before, or what an entry of the ledger names, serve again."""
        order = order.model_copy(update={"by": who.name}) if who.known else order
        with _conflicts():
            found = await self._chosen(name, order)
            change = (_serving(self._state(name)), _shown(found.desired))
            act = event(who, "application.rollback", name, self._reconciler.now(), order.by, order.reason, change)
            self._reconciler.roll_back(name, found.desired, order, (act,))
        return await self._looked_at(name)

    def say(
        self, name: str, word: ActionRequest, order: Callable[[State, ActionRequest, float], Step], who: Identity
    ) -> Status:
        """Take a person's word on a rollout."""
        state, now = self._state(name), self._reconciler.now()
        word = word.model_copy(update={"by": who.name}) if who.known else word
        action = "rollout.approve" if order is orders.approve else "rollout.abort"
        with _conflicts():
            after = order(state, word, now).state
            act = event(who, action, name, now, word.by, word.reason, (progress(state), progress(after)))
            self._reconciler.say(name, word, order, (act,))
        return self._show(name)

    def delete(self, name: str, who: Identity) -> Status:
        """Take an application away."""
        state = self._state(name)
        act = event(who, "application.delete", name, self._reconciler.now(), change=(_serving(state), {}))
        self._reconciler.delete(name, () if state.deleting else (act,))
        return self._show(name)

    def _declared(self, name: str, declaration: Declaration, who: Identity) -> tuple[AuditEvent, ...]:
        """What the audit log is told of a declaration; nothing of one that changes nothing."""
        state = self._reconciler.states.get(name, State(name=name))
        if state.declared == declaration.desired and not state.deleting and not declaration.retry_refused:
            return ()
        origin = declaration.origin
        told = {**_shown(declaration.desired), **({"commit": origin.commit, "dirty": origin.dirty} if origin else {})}
        said = origin.by if origin is not None else ""
        before = _shown(state.declared) if state.declared is not None else {}
        return (event(who, "application.declare", name, self._reconciler.now(), said, change=(before, told)),)

    async def _chosen(self, name: str, order: RollbackRequest) -> RollbackTarget:
        """What to go back to, where that can be; what is still warm needs nothing, and is asked nothing."""
        state = self._state(name)
        served, entry = await self._goal(state, order.to)
        desired = clusters.aimed_back(state, served, self._reconciler.backend.clusters)
        fingerprint = orders.fingerprint(desired)
        if order.expected is not None and order.expected != fingerprint:
            raise rollback_targets.NoRollbackTargetError(
                f"what a rollback of {name} goes back to is no longer what was shown: by now it is {desired.version.label} "
                f"with {desired.replicas} replicas, {desired.strategy.kind}; run `heliostat rollback {name}` again"
            )
        warm = rollback_targets.is_warm(state, self._observed(name), desired)
        if not warm:
            await self._is_there(desired)
            await self._fits(name, Declaration(desired=desired, retry_refused=True))
        _same(state, self._state(name))
        number, at = (entry.number or None, entry.at) if entry is not None else (None, None)  # 0: not written yet
        return RollbackTarget(desired=desired, fingerprint=fingerprint, warm=warm, entry=number, at=at)

    async def _goal(self, state: State, number: int | None) -> tuple[Desired, Entry | None]:
        kept = rollback_targets.kept(state) if number is None else None
        if kept is not None:
            return kept, None
        waiting = self._reconciler.store.waiting(state.name)
        return await asyncio.to_thread(self._from_ledger, state, number, waiting)

    def _refuse(self, desired: Desired) -> None:
        """422 where a declaration cannot work, or the platform cannot do it."""
        can = self._reconciler.backend.capabilities | self._reconciler.traffic.capabilities
        text = problem(desired) or unsupported(desired, can)
        if text is not None:
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, text)

    def _observed(self, name: str) -> Observed:
        return self._reconciler.observed.get(name, Observed())

    async def _is_there(self, desired: Desired) -> None:
        known = self._reconciler.settings.inputs
        access = known.tracking_access if desired.version.tracking_uri == known.tracking_uri else None
        gone = await asyncio.to_thread(rollback_targets.missing, desired.version, access)
        if gone:
            text = f"{desired.version.label} cannot serve again: {' and '.join(gone)} is gone; choose another entry"
            raise rollback_targets.NoRollbackTargetError(text)

    def _from_ledger(self, state: State, number: int | None, waiting: tuple[Entry, ...]) -> tuple[Desired, Entry | None]:
        """What to go back to, and the entry that says that it served; `waiting` is what the ledger was not told yet."""
        objects = open_store(self._reconciler.settings.inputs.store)
        emptied = emptied_at(objects, state.name)
        if number is None:
            known = takewhile(lambda each: each.number > emptied, ledger.newest_first(objects, state.name))
            return rollback_targets.before(state, chain(reversed(waiting), known))
        entry = ledger.read(objects, state.name, number)
        last = ledger.last_number(objects, state.name) if entry is None else 0
        return rollback_targets.at(state.name, number, entry, last, emptied), entry

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
            why = self._reconciler.ray_error
            text = f"the cluster has not answered for {_LOOK_SECONDS:g} s ({why}); {name} is declared and begins once it does"
            raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, text)
        return self._show(name)


def add_changes(app: FastAPI, reconciler: Reconciler, state: Callable[[str], State], show: Callable[[str], Status]) -> None:
    """Add the calls to the API."""
    changes = Changes(reconciler, state, show)

    @app.put("/v1/applications/{name}")
    async def declare(name: Name, declaration: Declaration, who: Who) -> Status:
        return await changes.declare(name, declaration, who)

    @app.post("/v1/applications/{name}/plan")
    async def preview(name: Name, declaration: Declaration) -> Plan:
        return await changes.plan(name, declaration)

    @app.post("/v1/applications/{name}/approve")
    async def approve(name: Name, word: ActionRequest, who: Who) -> Status:
        return changes.say(name, word, orders.approve, who)

    @app.post("/v1/applications/{name}/abort")
    async def abort(name: Name, word: ActionRequest, who: Who) -> Status:
        return changes.say(name, word, orders.abort, who)

    @app.get("/v1/applications/{name}/rollback")
    async def way_back(name: Name) -> RollbackTarget:
        return await changes.way_back(name)

    @app.post("/v1/applications/{name}/rollback")
    async def rollback(name: Name, order: RollbackRequest, who: Who) -> Status:
        return await changes.rollback(name, order, who)

    @app.delete("/v1/applications/{name}", status_code=status.HTTP_202_ACCEPTED)
    async def delete(name: Name, who: Who) -> Status:
        return changes.delete(name, who)


def _shown(desired: Desired) -> dict[str, Any]:
    """A declaration as the audit log tells it."""
    version = desired.version
    return {
        "version": version.label, "digest": version.digest, "model": version.model_uri, "replicas": desired.replicas,
        "strategy": desired.strategy.kind,
    }  # fmt: skip


def _serving(state: State) -> dict[str, Any]:
    return _shown(state.declared) if state.declared is not None else {}


def progress(state: State) -> dict[str, Any]:
    """A rollout as the audit log tells it."""
    rollout = state.rollout
    if rollout is None:
        return {}
    told = {"rollout": rollout.number, "phase": rollout.phase.value, "step": show.step(state)}
    return {**told, "target": rollout.target.version.label}


def _same(before: State, now: State) -> None:
    """Nobody declared anything while what a rollback needs was looked for: nobody meant to leave, and refuse, that."""
    numbers = [each.rollout.number if each.rollout is not None else 0 for each in (before, now)]
    if (before.declared, before.deleting) != (now.declared, now.deleting) or numbers[0] != numbers[1]:
        newer = f"{now.declared.version.label} was declared" if now.declared is not None else "it was deleted"
        raise rollback_targets.NoRollbackTargetError(
            f"{now.name}: {newer} while what the rollback goes back to was looked for, and nothing was rolled back; "
            f"see `heliostat rollout list {now.name}`, and run it again if it is still meant"
        )


@contextmanager
def _conflicts() -> Iterator[None]:
    """What does not go with what is, as a 409 that says so."""
    try:
        yield
    except (orders.OrderError, rollback_targets.NoRollbackTargetError) as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None
