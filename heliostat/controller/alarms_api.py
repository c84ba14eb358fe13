"""The calls of the API about alarms of monitors: somebody takes one, or keeps some silent, by their right, and it is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, HTTPException, status

from heliostat.controller.audit import event
from heliostat.controller.permissions import Who
from heliostat.controller.reconciler import Reconciler
from heliostat.monitoring import alarms
from heliostat.monitoring.state import MonitorState, state_in
from heliostat.spec.alarm_orders import AcknowledgeOrder, SilenceOrder, UnsilenceOrder
from heliostat.spec.audit import AuditEvent
from heliostat.spec.base import Name
from heliostat.spec.monitoring import schedule_name, states
from heliostat.spec.predictions import schedule_key
from heliostat.spec.roles import Identity
from heliostat.systems.objects import ObjectStore, open_store
from heliostat.systems.revisions import Revisions

Act = Callable[[alarms.Alarms, str, datetime], alarms.Alarms]
"""The alarms after somebody, named by the second, said something at a time."""


class AlarmOrders:
    """What people say of alarms."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    async def take(self, name: str, act: Act, noted: AuditEvent) -> None:
        """Do what somebody says, noted before: what was done and is not in the log would be lost to it."""
        store = open_store(self._reconciler.settings.inputs.store)

        def changed(state: MonitorState) -> MonitorState:
            return state.model_copy(update={"alarms": act(state.alarms, noted.by, datetime.fromtimestamp(noted.at, UTC))})

        try:
            before = await asyncio.to_thread(_state, store, name)
            if changed(before) == before:
                return
            self._reconciler.store.audits.post([noted])
            self._reconciler.ledger.wake()
            await asyncio.to_thread(_change, store, name, changed)
        except alarms.UnknownAlarmError as error:
            raise HTTPException(status.HTTP_404_NOT_FOUND, str(error)) from None
        except ValueError as error:
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error)) from None

    async def acknowledge(self, name: str, order: AcknowledgeOrder, who: Identity) -> None:
        """Have somebody look after an alarm."""

        def act(state: alarms.Alarms, by: str, now: datetime) -> alarms.Alarms:
            return alarms.acknowledge(state, order.alarm, by, now)

        await self.take(name, act, self._event(name, "acknowledge", order.by, {"alarm": order.alarm}, who))

    async def silence(self, name: str, order: SilenceOrder, who: Identity) -> None:
        """Have nobody be told of some alarms for a while."""

        def act(state: alarms.Alarms, by: str, now: datetime) -> alarms.Alarms:
            return alarms.silence(state, order.alarms, order.until, order.why, by, now)

        told = {"alarms": order.alarms, "until": order.until.isoformat()}
        await self.take(name, act, self._event(name, "silence", order.by, told, who, order.why))

    async def unsilence(self, name: str, order: UnsilenceOrder, who: Identity) -> None:
        """Have a silence end."""

        def act(state: alarms.Alarms, by: str, now: datetime) -> alarms.Alarms:
            return alarms.end_silence(state, order.alarms)

        await self.take(name, act, self._event(name, "unsilence", order.by, {"alarms": order.alarms}, who))

    def _event(self, name: str, verb: str, by: str, told: Mapping[str, Any], who: Identity, reason: str = "") -> AuditEvent:
        return event(who, f"alarm.{verb}", name, self._reconciler.now(), by, reason, ({}, told))


def add_alarms(app: FastAPI, orders: AlarmOrders) -> None:
    """Add the calls to the API."""

    @app.post("/v1/applications/{name}/alarms/acknowledge", status_code=status.HTTP_204_NO_CONTENT)
    async def acknowledge(name: Name, order: AcknowledgeOrder, who: Who) -> None:
        await orders.acknowledge(name, order, who)

    @app.post("/v1/applications/{name}/alarms/silence", status_code=status.HTTP_204_NO_CONTENT)
    async def silence(name: Name, order: SilenceOrder, who: Who) -> None:
        await orders.silence(name, order, who)

    @app.post("/v1/applications/{name}/alarms/unsilence", status_code=status.HTTP_204_NO_CONTENT)
    async def unsilence(name: Name, order: UnsilenceOrder, who: Who) -> None:
        await orders.unsilence(name, order, who)


def _state(store: ObjectStore, name: str) -> MonitorState:
    _, content = Revisions(store, states(name)).newest()
    if content is None and not store.exists(schedule_key(schedule_name(name))):
        text = f"{name} is not watched: declare `monitor` of the workload, and bring it up"
        raise HTTPException(status.HTTP_404_NOT_FOUND, text)
    return state_in(name, content)


def _change(store: ObjectStore, name: str, change: Callable[[MonitorState], MonitorState]) -> None:
    """Nobody's change is lost by it: of two at once the second begins anew."""
    Revisions(store, states(name)).change(lambda content: change(state_in(name, content)).model_dump_json().encode())
