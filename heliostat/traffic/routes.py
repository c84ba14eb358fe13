"""What a traffic plane shall do, and the steps that bring replicas there. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import Endpoint, EndpointState
from heliostat.spec.strategies import Affinity


@dataclass(frozen=True)
class ColourRoute:
    """What one colour's backend shall hold."""

    endpoints: tuple[Endpoint, ...] = ()
    admitted: frozenset[str] = frozenset()
    """Those that may take requests once they answer their probe."""


@dataclass(frozen=True)
class ApplicationRoute:
    """One application in the traffic plane, as it shall be."""

    share: int
    """Of green, of 10,000."""
    blue: ColourRoute
    green: ColourRoute
    affinity: Affinity | None = None
    """What its clients are known by, so that each stays on one version."""
    salt: str = ""
    """Which of them are on green at a share; of an affinity."""

    def of(self, colour: Colour) -> ColourRoute:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green


@dataclass(frozen=True)
class EndpointStep:
    """One change of one replica's place: add, admit, drain or remove it."""

    what: str
    endpoint: Endpoint


def endpoint_steps(route: ColourRoute, found: dict[str, EndpointState]) -> list[EndpointStep]:
    """What brings a backend's replicas to `route`: nobody is let in before its probe was answered, and nobody is
    removed before it has answered what it had."""
    wanted = {endpoint.name: endpoint for endpoint in route.endpoints}
    steps = [EndpointStep("add", endpoint) for name, endpoint in sorted(wanted.items()) if name not in found]
    for name, state in sorted(found.items()):
        stays = wanted.get(name) == state.endpoint
        if stays and name in route.admitted:
            if state.draining and state.answers:
                steps.append(EndpointStep("admit", state.endpoint))
        elif not state.draining:
            steps.append(EndpointStep("drain", state.endpoint))
        elif not stays and state.in_flight == 0:
            steps.append(EndpointStep("remove", state.endpoint))
    return steps
