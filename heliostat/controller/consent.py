"""How many requests were answered and not kept for want of consent, asked of the replicas for Prometheus."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import httpx
from pydantic import ValidationError

from heliostat.controller.reconciler import Reconciler
from heliostat.rollout.model import Colour, State
from heliostat.spec.endpoints import backend_name, route_prefix
from heliostat.spec.personal import PRIVACY, KeptCounts

_SECONDS: Final = 2.0


@dataclass(frozen=True)
class ReplicaCounts:
    """What one replica counted since it started."""

    application: str
    version: str
    replica: str
    counts: KeptCounts


class Consents:
    """Asks every replica of the applications that ask for consent."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.counts: tuple[ReplicaCounts, ...] = ()
        """As they were asked for last, of the replicas that answered."""

    async def refresh(self) -> None:
        """Ask all of them; what does not answer in time is not told."""
        states = [state for state in self._reconciler.states.values() if asks_consent(state)]
        if not states:
            self.counts = ()
            return
        snapshot = await self._reconciler.traffic.snapshot()
        asked = []
        for state in states:
            for colour in Colour:
                desired = state.slot(colour).desired
                backend = snapshot.backends.get(backend_name(state.name, colour.value), {})
                for name, server in backend.items() if desired is not None else ():
                    if desired is not None and server.usable and server.answers:
                        place = f"http://{server.endpoint.host}:{server.endpoint.port}"
                        url = f"{place}{route_prefix(state.name, colour.value)}{PRIVACY}"
                        asked.append(self._of(state.name, desired.version.label, name, url))
        self.counts = tuple(found for found in await asyncio.gather(*asked) if found is not None)

    async def _of(self, application: str, version: str, replica: str, url: str) -> ReplicaCounts | None:
        try:
            answer = await self._reconciler.client.get(url, timeout=_SECONDS)
            counts = KeptCounts.model_validate_json(answer.content) if answer.is_success else None
        except (httpx.HTTPError, ValidationError):
            return None
        return ReplicaCounts(application, version, replica, counts) if counts is not None else None


def asks_consent(state: State) -> bool:
    """Whether what is declared of an application keeps only what its clients let it keep."""
    privacy = state.declared.version.privacy if state.declared is not None else None
    return privacy is not None and privacy.consent is not None
