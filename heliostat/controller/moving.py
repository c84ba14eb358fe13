"""Which clusters there are, and what becomes of applications on those that are worked on no more."""

from __future__ import annotations

import logging

from heliostat.controller.backends.clusters import LOST_SECONDS
from heliostat.controller.backends.serving import Deployments, ServingBackend
from heliostat.controller.state_writer import StateWriter
from heliostat.controller.store import Store
from heliostat.rollout.clusters import awaiting, begun_anew, let_go, named, used
from heliostat.rollout.model import State
from heliostat.spec.addresses import RayAddress
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import TrafficSnapshot, backend_name
from heliostat.spec.rollouts import Phase

_log = logging.getLogger(__name__)


def known_clusters(store: Store, settings: ControllerSettings) -> tuple[RayAddress, ...]:
    """The cluster to work on, and those that applications may still be on; written down before anything else is done.

    A database of an earlier release says of no application where it is: there was one cluster, which the settings named.
    """
    current, kept = settings.inputs.ray, store.clusters()
    states: tuple[State, ...] = ()
    if not kept:
        home = settings.before or current
        kept = (home,)
        states = tuple(named(state, home.url) for state in store.states().values())
    found = (current, *(each for each in kept if each.url != current.url))
    store.save_clusters(found, states)
    return found


class Moves:
    """What becomes of applications on clusters that do not answer."""

    def __init__(self, backend: ServingBackend, writer: StateWriter, store: Store) -> None:
        self._backend = backend
        self._writer = writer
        self._store = store

    def look(self, deployments: Deployments, snapshot: TrafficSnapshot) -> frozenset[str]:
        """The applications that wait for a former cluster to answer, and stay as they are.

        Who has waited for long, while none of its replicas there answers the traffic plane, begins anew on the current one.
        """
        if not deployments.silent:
            return frozenset()
        states = list(self._writer.states.values())
        return frozenset(state.name for state in states if self._waits(state, deployments, snapshot))

    async def release(self) -> None:
        """Forget the clusters that nothing is left on."""
        if len(self._backend.clusters) > 1:
            states = self._writer.states.values()
            await self._backend.release(frozenset[str]().union(*(used(state) for state in states)))

    def _waits(self, state: State, deployments: Deployments, snapshot: TrafficSnapshot) -> bool:
        lost = {url for url, seconds in deployments.silent.items() if seconds >= LOST_SECONDS}
        kept = let_go(state, lost)
        if kept != state and not self._written(kept, "what was kept beside it is let go: its cluster does not answer"):
            return False
        colours = awaiting(kept, deployments.silent)
        if not colours:
            return False
        answers = any(
            server.answers
            for colour in colours
            for server in snapshot.backends.get(backend_name(kept.name, colour), {}).values()
        )
        if answers or awaiting(kept, lost) != colours:
            return True
        current, gone = self._backend.clusters[0], ", ".join(sorted(lost & used(kept)))
        text = f"the cluster {gone} is gone, and its replicas with it: they start again on {current}"
        return not self._written(begun_anew(kept, lost, current), text)

    def _written(self, state: State, text: str) -> bool:
        phase = state.rollout.phase if state.rollout is not None else Phase.PENDING
        _log.warning("%s: %s", state.name, text)
        # An end is told once: what comes after it is no end.
        events = ((phase, text),) if state.rollout is not None and not state.rollout.ended else ()
        return self._store.faults.attempt(lambda: self._writer.write(state, events))
