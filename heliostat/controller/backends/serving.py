"""The seam between decisions and whatever runs replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from heliostat.rollout.capacity import Held, Node
from heliostat.rollout.model import Colour, Condition, DeployColour, identity
from heliostat.rollout.observed import AwaitedNodes
from heliostat.spec.capabilities import Capability
from heliostat.spec.endpoints import Endpoint

Room = tuple[tuple[Node, ...], tuple[Held, ...]]
"""The nodes with what no replica holds, and what one application's replicas hold."""


@dataclass(frozen=True)
class Deployment:
    """One colour of an application as its backend runs it."""

    condition: Condition
    identity: str | None = None
    """Of what was deployed (`heliostat.rollout.model.identity`); None where it goes, or was not deployed by a controller."""
    replicas: int = 0
    """How many are asked for."""
    max_ongoing_requests: int = 0
    error: str = ""
    """Why it is not well, with the application's own traceback; empty where it is."""
    endpoints: tuple[Endpoint, ...] = ()
    """Replicas that run."""
    awaits: AwaitedNodes | None = None
    """The nodes that have to come before all of it runs; None where none has to, or where that is not known."""
    workers: int = 0
    """Replicas of workers of tasks that are asked for."""
    workers_running: int = 0


@dataclass(frozen=True)
class Deployments:
    """All that a backend runs."""

    colours: Mapping[tuple[str, Colour], Deployment] = field(default_factory=dict)
    silent: Mapping[str, float] = field(default_factory=dict)
    """Clusters that did not answer, by URL, and for how many seconds by now: the colours there are old news."""

    def of(self, application: str, colour: Colour) -> Deployment | None:
        """One colour; None where nothing is left of it."""
        return self.colours.get((application, colour))

    def endpoints(self, application: str, colour: Colour) -> tuple[Endpoint, ...]:
        """The replicas of one colour that run."""
        found = self.of(application, colour)
        return found.endpoints if found is not None else ()

    def with_changes(self, changes: Mapping[tuple[str, Colour], DeployColour | None]) -> Deployments:
        """The same as if `changes` were made: None takes one away.

        What runs already and is changed in place is as the backend says: nobody asks it for what it has not yet.
        """
        colours = dict(self.colours)
        for key, wanted in changes.items():
            found = colours.get(key)
            if wanted is None and found is not None:
                colours[key] = Deployment(Condition.STOPPING)
            elif wanted is not None and (found is None or found.condition is Condition.STOPPING):
                colours[key] = starting(wanted)
        return replace(self, colours=colours)


def starting(wanted: DeployColour) -> Deployment:
    """What was just asked for, before anything of it runs."""
    ongoing = wanted.desired.max_ongoing_requests
    return Deployment(Condition.STARTING, identity(wanted.desired), wanted.replicas, ongoing)


class ServingBackend(Protocol):
    """Runs replicas. What a call raises says whether it is of use to try again: RetryableError or PermanentError."""

    capabilities: frozenset[Capability]
    """What it can do of that which not every backend can."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """Its clusters, as a declaration names them; new colours come to the first. `("",)`: there is one, without a name."""

    async def observe(self) -> Deployments:
        """Tell what runs. One that has just come back itself, and does not know yet, raises RetryableError."""

    async def deploy(self, application: str, wanted: DeployColour) -> None:
        """Have a colour be so, and leave all others as they are. Where it runs, replicas come and go in place."""

    async def retire(self, application: str, colour: Colour) -> None:
        """Take a colour away; nothing where it is gone."""

    async def scale_workers(self, application: str, colour: Colour, replicas: int) -> None:
        """Have so many replicas of workers of tasks in a colour that names how many; nothing where it is gone."""

    async def room(self, application: str) -> Room | None:
        """Tell what the nodes have left for replicas; None where that is not known."""

    async def prepare(self) -> None:
        """Start what the first deployment would wait for; nothing where it runs."""

    async def release(self, needed: frozenset[str]) -> None:
        """Let go of clusters that nothing is left on and that are not `needed`; nothing where there is one."""

    async def close(self) -> None:
        """Give connections back."""
