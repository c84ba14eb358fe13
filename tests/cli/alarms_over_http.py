"""The controller's calls about alarms, as far as these go, over real HTTP and on a real object store."""

from __future__ import annotations

import time
from types import SimpleNamespace

from controller_over_http import Served
from fastapi import FastAPI, Request

from heliostat.controller.alarms_api import AlarmOrders, add_alarms
from heliostat.spec.roles import STACK, Identity, Role


class Noted:
    """What the audit log is told."""

    def __init__(self) -> None:
        self.events = []

    def post(self, events) -> None:
        self.events += events

    def wake(self) -> None:
        """The log is written by nobody here."""


def alarms_of(store_address) -> tuple[Served, Noted]:
    """The calls for monitors in a store, behind a port while the first is entered; and what is noted."""
    noted = Noted()
    reconciler = SimpleNamespace(
        settings=SimpleNamespace(inputs=SimpleNamespace(store=store_address)),
        now=time.time,
        store=SimpleNamespace(audits=noted),
        ledger=noted,
    )
    app = FastAPI()

    @app.middleware("http")
    async def let_in(request: Request, call_next):
        request.state.identity = Identity(name=STACK, known=False, roles=(Role.ADMIN,))
        return await call_next(request)

    add_alarms(app, AlarmOrders(reconciler))
    return Served(app), noted
