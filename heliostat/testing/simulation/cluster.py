"""Replicas that start, answer probes and go, as on a cluster; time passes when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from heliostat.rollout.model import Colour, ColourStatus, Condition, DeployColour, identity
from heliostat.spec.rollouts import Desired
from heliostat.testing.simulation.behaviour import VersionBehaviour

STARTUP_SECONDS = 3
DRAIN_SECONDS = 2
START_ERROR = "ValueError: no such column"


@dataclass
class Replica:
    """One replica."""

    name: str
    ready_at: float
    """When it has started, Unix time in seconds."""
    usable: bool = False
    """Whether the router gives it requests."""
    probed: bool = False
    """Whether it answers its probes."""


@dataclass
class ColourDeployment:
    """One colour that is deployed."""

    wanted: Desired
    asked: int
    """Replicas that it is to have."""
    replicas: list[Replica] = field(default_factory=list)
    failed: bool = False
    gone_at: float | None = None
    """When it will have gone, Unix time in seconds; None while it is to stay."""


class Cluster:
    """What runs of one application. `behaviour` says how a version does."""

    def __init__(self, behaviour: Callable[[Desired], VersionBehaviour]) -> None:
        self.colours: dict[Colour, ColourDeployment] = {}
        self._behaviour = behaviour
        self._names = 0

    def deploy(self, action: DeployColour, now: float) -> None:
        """Have a colour run.

        Raises:
            AssertionError: another version runs in it.
        """
        wanted, found = action.desired, self.colours.get(action.colour)
        if found is None:
            replicas = [self._replica(now) for _ in range(action.replicas)]
            self.colours[action.colour] = ColourDeployment(wanted, action.replicas, replicas)
            return
        if identity(found.wanted) != identity(wanted):
            raise AssertionError(f"{wanted.version.label} is deployed over {found.wanted.version.label}")
        found.wanted, found.asked = wanted, action.replicas
        # Serve stops what is not ready first.
        found.replicas = sorted(found.replicas, key=lambda replica: not replica.probed)[: action.replicas]

    def retire(self, colour: Colour, now: float) -> None:
        """Have a colour go."""
        self.colours[colour].gone_at = now + DRAIN_SECONDS
        self.colours[colour].replicas.clear()

    def advance(self, now: float) -> None:
        """Let time pass up to `now`, Unix time in seconds."""
        for colour, each in list(self.colours.items()):
            if each.gone_at is None:
                self._run(each, now)
            elif now >= each.gone_at:
                del self.colours[colour]

    def let_in(self, colour: Colour, allowed: frozenset[str]) -> None:
        """Have the router use those replicas of a colour that it is allowed to and that answer their probes."""
        for replica in self.colours[colour].replicas:
            replica.usable = replica.name in allowed and (replica.probed or replica.usable)

    def usable(self, colour: Colour) -> list[Replica]:
        """List the replicas of a colour that answer requests."""
        found = self.colours.get(colour)
        return [each for each in found.replicas if each.usable and each.probed] if found is not None else []

    def kill_replica(self, colour: Colour) -> None:
        """End the oldest replica of a colour, where it has one; another one starts in its place."""
        found = self.colours.get(colour)
        if found is not None and found.replicas:
            found.replicas.pop(0)

    def status(self, colour: Colour, golden: dict[str, str | None], now: float, *, blind: bool) -> ColourStatus:
        """One colour as a controller sees it; `blind`: the router has not probed anything yet."""
        found = self.colours.get(colour)
        if found is None:
            return ColourStatus()
        if found.gone_at is not None:
            return ColourStatus(condition=Condition.STOPPING)
        running = frozenset(each.name for each in found.replicas if now >= each.ready_at)
        probed = [] if blind else [each for each in found.replicas if each.probed]
        missing = Condition.FAILED if found.failed else Condition.STARTING
        return ColourStatus(
            condition=Condition.RUNNING if len(running) == found.asked else missing,
            identity=identity(found.wanted),
            replicas=found.asked,
            max_ongoing_requests=found.wanted.max_ongoing_requests,
            error=START_ERROR if found.failed else "",
            running=running,
            healthy=frozenset(each.name for each in probed),
            usable=frozenset(each.name for each in probed if each.usable),
            golden={name: golden[name] for name in running if name in golden},
        )

    def _run(self, found: ColourDeployment, now: float) -> None:
        behaviour = self._behaviour(found.wanted)
        if not behaviour.starts:
            found.failed = found.failed or now >= min((each.ready_at for each in found.replicas), default=now + 1)
            if found.failed:
                found.replicas.clear()
            return
        while len(found.replicas) < found.asked and not found.failed:
            found.replicas.append(self._replica(now))
        for replica in found.replicas:
            replica.probed = now >= replica.ready_at and behaviour.healthy

    def _replica(self, now: float) -> Replica:
        self._names += 1
        return Replica(f"r{self._names}", now + STARTUP_SECONDS)
