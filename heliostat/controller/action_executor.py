"""Begins what a decision asks for beside routing and replicas: golden requests, analyses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from heliostat.controller.analysis_runners import AnalysisRunners
from heliostat.controller.backends.serving import Deployments
from heliostat.controller.golden import GoldenTests
from heliostat.rollout.model import Action, Analyse, Colour, Observed, State, TestGolden
from heliostat.rollout.shifting import gathers_since
from heliostat.rollout.turns import progress
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints
from heliostat.spec.endpoints import Endpoint, route_prefix

_log = logging.getLogger(__name__)


class ActionExecutor:
    """What asks replicas something."""

    def __init__(self, tests: GoldenTests, analysis_runners: AnalysisRunners, now: Callable[[], float]) -> None:
        """`now` is Unix time."""
        self._tests = tests
        self._analysis_runners = analysis_runners
        self._now = now
        self._failing: set[tuple[str, str]] = set()

    def begin(self, actions: Iterable[tuple[State, Observed, Action]], deployments: Deployments) -> None:
        """Begin each of them that is no matter of routing or replicas; nothing is waited for, and none stops another."""
        for state, observed, action in actions:
            key = (state.name, type(action).__name__)
            try:
                self._begin(state, observed, action, deployments)
                self._failing.discard(key)
            except Exception:
                if key not in self._failing:
                    _log.exception("%s: %s cannot be begun", *key)
                self._failing.add(key)

    def _begin(self, state: State, observed: Observed, action: Action, deployments: Deployments) -> None:
        match action:
            case TestGolden(colour, replica):
                self._test(state.name, colour, replica, deployments)
            case Analyse():
                self._analyse(state, observed, action, deployments)

    def _test(self, name: str, colour: Colour, replica: str, deployments: Deployments) -> None:
        for each in deployments.endpoints(name, colour):
            if each.name == replica:
                self._tests.begin(name, colour, replica, _url(name, colour, each))

    def _analyse(self, state: State, observed: Observed, action: Analyse, deployments: Deployments) -> None:
        candidate, serving = state.slot(action.candidate).desired, state.slot(action.candidate.other).desired
        if candidate is None:
            return
        task = AnalysisTask(
            application=state.name,
            analysis=action.analysis,
            candidate=candidate.version,
            serving=serving.version if serving is not None else None,
            shadow_share=action.shadow_share,
            elapsed_seconds=max(0.0, self._now() - gathers_since(progress(state))),
        )

        def urls(colour: Colour) -> tuple[str, ...]:
            healthy = observed.seen(colour).healthy
            found = deployments.endpoints(state.name, colour)
            return tuple(sorted(_url(state.name, colour, each) for each in found if each.name in healthy))

        endpoints = Endpoints(candidate=urls(action.candidate), serving=urls(action.candidate.other) if serving else ())
        self._analysis_runners.ask(action.key, task, endpoints)


def _url(name: str, colour: Colour, replica: Endpoint) -> str:
    return f"http://{replica.host}:{replica.port}{route_prefix(name, colour)}"
