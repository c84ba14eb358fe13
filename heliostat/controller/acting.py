"""Does what a decision asks for: in Serve, with golden requests, with analysts."""

from __future__ import annotations

from heliostat.controller.analysts import Analysts
from heliostat.controller.deploying import serve_application
from heliostat.controller.golden import GoldenTests
from heliostat.controller.observing import serve_name
from heliostat.rollout.model import Action, Analyse, Colour, DeployColour, Observed, RetireColour, State, TestGolden
from heliostat.spec.analyst import AnalystTask, Endpoints
from heliostat.spec.controller import ControllerSettings
from heliostat.systems.haproxy_config import serve_prefix
from heliostat.systems.ray_serve import Replica, ServeClient, ServeInstance


class Hands:
    """Everything but the traffic, which does not wait for any of this."""

    def __init__(self, serve: ServeClient, tests: GoldenTests, analysts: Analysts, settings: ControllerSettings) -> None:
        self._serve = serve
        self._tests = tests
        self._analysts = analysts
        self._settings = settings

    async def act(self, state: State, observed: Observed, action: Action, instance: ServeInstance) -> bool:
        """Do it; whether Serve may look different now.

        Raises:
            RetryableError: Serve does not answer.
            PermanentError: it refuses.
        """
        match action:
            case TestGolden(colour, replica):
                self._test(state.name, colour, replica, instance)
            case Analyse():
                self._analyse(state, observed, action, instance)
            case RetireColour(colour):
                await self._serve.delete(serve_name(state.name, colour))
                return True
            case DeployColour():
                found = instance.applications.get(serve_name(state.name, action.colour))
                await self._serve.deploy(serve_application(state.name, action, self._settings, found))
                return True
        return False

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
