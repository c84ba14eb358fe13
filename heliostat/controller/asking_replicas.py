"""Asks replicas, each at its own address, for what only they have counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import httpx
from pydantic import ValidationError

from heliostat.controller.reconciler import Reconciler
from heliostat.rollout.model import Colour, State
from heliostat.spec.base import Model
from heliostat.spec.endpoints import backend_name, route_prefix
from heliostat.spec.rollouts import Desired

_log = logging.getLogger(__name__)
_SECONDS: Final = 2.0

Counted = TypeVar("Counted", bound=Model)


class Place(NamedTuple):
    """A replica."""

    application: str
    version: str
    replica: str
    """The server's name in its backend."""
    url: str


async def asked(
    reconciler: Reconciler, path: str, model: type[Counted], is_wanted: Callable[[State, Desired], bool]
) -> list[tuple[Place, Counted | None]]:
    """What each replica of the wanted versions says at `path`; None of one that does not in time."""
    places = await _places(reconciler, is_wanted)
    found = await asyncio.gather(*(_said(reconciler.client, f"{place.url}{path}", model) for place in places))
    return list(zip(places, found, strict=True))


async def _places(reconciler: Reconciler, is_wanted: Callable[[State, Desired], bool]) -> list[Place]:
    wanted = [
        (state.name, colour, desired.version.label)
        for state in reconciler.states.values()
        for colour in Colour
        if (desired := state.slot(colour).desired) is not None and is_wanted(state, desired)
    ]
    if not wanted:
        return []
    backends = (await reconciler.traffic.snapshot()).backends
    return [
        Place(name, label, replica, f"http://{server.endpoint.host}:{server.endpoint.port}{route_prefix(name, colour.value)}")
        for name, colour, label in wanted
        for replica, server in backends.get(backend_name(name, colour.value), {}).items()
        if server.usable and server.answers
    ]


async def _said(client: httpx.AsyncClient, url: str, model: type[Counted]) -> Counted | None:
    try:
        answer = await client.get(url, timeout=_SECONDS)
        return model.model_validate_json(answer.content) if answer.is_success else None
    except (httpx.HTTPError, ValidationError) as error:
        _log.info("what was counted at %s is not known: %s", url, error)
        return None
