"""What a strategy makes of a version: one rollout, from its declaration to its end, in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.rollout.model import ENDS, SHARES, Colour, Progress
from heliostat.rollout.shares import problem, share_of
from heliostat.spec.analysis import AnalysisResult
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Strategy
from heliostat.testing.declarations import desired
from heliostat.testing.simulation.behaviour import Traffic, VersionBehaviour
from heliostat.testing.simulation.simulation import RolloutSimulation, SimulatedEvent

_LOOKS = 20_000
_VERDICTS = frozenset({Phase.RETAINING, Phase.RETIRING, Phase.ROLLING_BACK, Phase.SUCCEEDED, Phase.FAILED})


@dataclass(frozen=True)
class RolloutOutcome:
    """How a rollout went."""

    phase: Phase
    """Its end."""
    error: str
    """Why it was rolled back, in the words that `up` prints; empty where it was not."""
    weights: tuple[float, ...]
    """Shares of the traffic that the candidate had one after the other, 0 to 1."""
    seconds: float
    """From the declaration until it was promoted, or until its way back began."""
    requests: int
    """Clients' requests from the declaration to the end."""
    failed_requests: int
    """Those of them that failed, of either version, or for want of any."""
    candidate_requests: int
    """Those of them that went to the candidate."""
    analyses: tuple[AnalysisResult, ...]
    """What each analysis came to, with the figures of its checks."""
    events: tuple[SimulatedEvent, ...]

    @property
    def promoted(self) -> bool:
        """Whether the candidate is what serves now."""
        return self.phase is Phase.SUCCEEDED


def simulate(
    strategy: Strategy,
    candidate: VersionBehaviour | None = None,
    *,
    stable: VersionBehaviour | None = None,
    traffic: Traffic | None = None,
    replicas: int = 2,
    approve: bool = True,
) -> RolloutOutcome:
    """Simulate the rollout of a version that behaves like `candidate`, by default well, in the place of `stable`.

    The controller's own code decides; cluster, router, clients and time are in memory. `approve` says whether whatever waits
    for a person is let go on; where it is not, the strategy's patience runs out.

    Raises:
        ValueError: the strategy cannot work with so many replicas; or `stable` itself does not come to serve.
    """
    if mistake := problem(desired(strategy=strategy, replicas=replicas)):
        raise ValueError(mistake)
    simulation = _serving(stable or VersionBehaviour(), traffic, replicas)
    before, began, story = dict(simulation.clients.counted), simulation.elapsed, len(simulation.events)
    simulation.declare(desired(2, strategy, replicas=replicas), candidate or VersionBehaviour())
    rollout = _carried_out(simulation, approve=approve)
    answered = {colour: simulation.clients.counted[colour].since(before[colour]) for colour in Colour}
    events = tuple(simulation.events[story:])
    return RolloutOutcome(
        phase=rollout.phase,
        error=rollout.error or "",
        weights=tuple(
            share_of(rollout.candidate, share) / SHARES for number, share in simulation.shares if number == rollout.number
        ),
        seconds=next(each.seconds for each in events if each.phase in _VERDICTS) - began,
        requests=sum(each.judged for each in answered.values()),
        failed_requests=sum(each.failed for each in answered.values()),
        candidate_requests=answered[rollout.candidate].judged,
        analyses=rollout.analyses,
        events=events,
    )


def _serving(stable: VersionBehaviour, traffic: Traffic | None, replicas: int) -> RolloutSimulation:
    """An application whose first version serves."""
    simulation = RolloutSimulation(traffic)
    simulation.declare(desired(1, replicas=replicas), stable)
    simulation.settle()
    if simulation.rollout is None or simulation.phase is Phase.FAILED:
        told = simulation.rollout.error if simulation.rollout is not None else "nothing happened"
        raise ValueError(f"the stable version does not come to serve, so nothing can take its place: {told}")
    return simulation


def _carried_out(simulation: RolloutSimulation, *, approve: bool) -> Progress:
    """The rollout that was just declared, at its end."""
    simulation.reconcile()
    simulation.run_until(Phase.WAITING, *ENDS, looks=_LOOKS)
    while approve and simulation.phase is Phase.WAITING:
        simulation.approve()
        simulation.reconcile()
        simulation.run_until(Phase.WAITING, *ENDS, looks=_LOOKS)
    simulation.run_until(*ENDS, looks=_LOOKS)
    if simulation.rollout is None:
        raise AssertionError("what was declared began no rollout")
    return simulation.rollout
