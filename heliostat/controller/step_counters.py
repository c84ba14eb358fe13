"""What post-processing steps did to answers, asked of all replicas at each scrape, for Prometheus.

A replica counts from its own beginning. Only what came since it was asked last is added here, so that a counter goes on where
replicas come and go; what one did between the last scrape and its end is in the prediction log alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

import httpx
from pydantic import ValidationError

from heliostat.controller.reconciler import Reconciler
from heliostat.rollout.model import Colour, State
from heliostat.spec.endpoints import backend_name, route_prefix
from heliostat.spec.postprocessing import POSTPROCESSING, StepCounts

_log = logging.getLogger(__name__)
_SECONDS = 2.0


class StepKey(NamedTuple):
    """What is counted apart, as labels."""

    application: str
    version: str
    """The application's."""
    step: str
    outcome: str
    reason: str


class StepCounters:
    """Counts since the controller began."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.answers: Counter[StepKey] = Counter()
        self.removed: Counter[StepKey] = Counter()
        self._known: dict[str, StepCounts] = {}
        """What each replica said last, by its tally."""

    async def refresh(self) -> None:
        """Ask every replica that has steps; what does not answer in time is asked again at the next scrape."""
        places = await self._places()
        found = await asyncio.gather(*(self._asked(url) for _, _, url in places))
        told = [(name, label, counts) for (name, label, _), counts in zip(places, found, strict=True) if counts is not None]
        for name, label, counts in told:
            self._take(name, label, counts)
        if len(told) == len(places):  # else one that was silent would be counted from zero again
            self._known = {counts.tally: counts for _, _, counts in told}

    def _take(self, name: str, label: str, counts: StepCounts) -> None:
        before = self._known.get(counts.tally, StepCounts(tally=counts.tally))
        known = {(each.step, each.outcome, each.reason): each for each in before.counts}
        for each in counts.counts:
            key = StepKey(name, label, each.step, each.outcome.value, each.reason)
            last = known.get((each.step, each.outcome, each.reason))
            self.answers[key] += each.answers - (last.answers if last else 0)
            self.removed[key] += each.removed - (last.removed if last else 0)
        self._known[counts.tally] = counts

    async def _places(self) -> list[tuple[str, str, str]]:
        """Application, version and address of every replica that has steps."""
        wanted = [
            (state.name, colour, label)
            for state in self._reconciler.states.values()
            for colour in Colour
            if (label := _label(state, colour)) is not None
        ]
        if not wanted:
            return []
        backends = (await self._reconciler.traffic.snapshot()).backends
        return [
            (name, label, f"http://{server.endpoint.host}:{server.endpoint.port}{route_prefix(name, colour.value)}")
            for name, colour, label in wanted
            for server in backends.get(backend_name(name, colour.value), {}).values()
            if server.usable and server.answers
        ]

    async def _asked(self, url: str) -> StepCounts | None:
        try:
            answer = await self._reconciler.client.get(f"{url}{POSTPROCESSING}", timeout=_SECONDS)
            return StepCounts.model_validate_json(answer.content) if answer.is_success else None
        except (httpx.HTTPError, ValidationError) as error:
            _log.info("what steps did at %s is not known: %s", url, error)
            return None


def _label(state: State, colour: Colour) -> str | None:
    """The version that runs as a colour, where it has steps."""
    desired = state.slot(colour).desired
    return desired.version.label if desired is not None and desired.version.postprocessing else None
