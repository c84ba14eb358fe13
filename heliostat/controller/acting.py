"""Begins what a decision asks for beside traffic and Serve: golden requests, analysts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from heliostat.controller.analysts import Analysts
from heliostat.controller.golden import GoldenTests
from heliostat.controller.observing import serve_name
from heliostat.rollout.model import Action, Analyse, Colour, Observed, State, TestGolden
from heliostat.rollout.shifting import gathers_since
from heliostat.rollout.turns import progress
from heliostat.spec.analyst import AnalystTask, Endpoints
from heliostat.systems.haproxy_config import serve_prefix
from heliostat.systems.ray_serve import Replica, ServeInstance

_log = logging.getLogger(__name__)


class Hands:
    """What asks replicas something."""

    def __init__(self, tests: GoldenTests, analysts: Analysts, now: Callable[[], float]) -> None:
        """`now` is Unix time."""
        self._tests = tests
        self._analysts = analysts
        self._now = now
        self._failing: set[tuple[str, str]] = set()

    def begin(self, actions: Iterable[tuple[State, Observed, Action]], instance: ServeInstance) -> None:
        """Begin each of them that is no matter of traffic or Serve; nothing is waited for, and none stops another."""
        for state, observed, action in actions:
            key = (state.name, type(action).__name__)
            try:
                self._begin(state, observed, action, instance)
                self._failing.discard(key)
            except Exception:
                if key not in self._failing:
                    _log.exception("%s: %s cannot be begun", *key)
                self._failing.add(key)

    def _begin(self, state: State, observed: Observed, action: Action, instance: ServeInstance) -> None:
        match action:
            case TestGolden(colour, replica):
                self._test(state.name, colour, replica, instance)
            case Analyse():
                self._analyse(state, observed, action, instance)

    def _test(self, name: str, colour: Colour, replica: str, instance: ServeInstance) -> None:
        for each in _replicas(instance, name, colour):
            if each.name == replica:
                self._tests.begin(name, colour, replica, _url(name, colour, each))

    def _analyse(self, state: State, observed: Observed, action: Analyse, instance: ServeInstance) -> None:
        candidate, serving = state.slot(action.candidate).desired, state.slot(action.candidate.other).desired
        if candidate is None:
            return
        task = AnalystTask(
            application=state.name,
            analysis=action.analysis,
            candidate=candidate.version,
            serving=serving.version if serving is not None else None,
            shadow_share=action.shadow_share,
            elapsed_seconds=max(0.0, self._now() - gathers_since(progress(state))),
        )

        def urls(colour: Colour) -> tuple[str, ...]:
            healthy = observed.seen(colour).healthy
            found = _replicas(instance, state.name, colour)
            return tuple(sorted(_url(state.name, colour, each) for each in found if each.name in healthy))

        endpoints = Endpoints(candidate=urls(action.candidate), serving=urls(action.candidate.other) if serving else ())
        self._analysts.ask(action.key, task, endpoints)


def _replicas(instance: ServeInstance, name: str, colour: Colour) -> tuple[Replica, ...]:
    found = instance.applications.get(serve_name(name, colour))
    return found.replicas if found is not None else ()


def _url(name: str, colour: Colour, replica: Replica) -> str:
    return f"http://{replica.host}:{replica.port}{serve_prefix(name, colour.value)}"
