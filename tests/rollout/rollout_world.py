"""The simulation of the public kit, in which versions behave as they are called, and what each look must keep is looked at."""

from __future__ import annotations

from dataclasses import replace

from heliostat.rollout.model import ENDS, Colour, State, identity
from heliostat.rollout.refusals import as_judged
from heliostat.spec.analysis import Verdict
from heliostat.spec.rollouts import Desired, Phase, Version
from heliostat.spec.strategies import Strategy
from heliostat.testing import declarations
from heliostat.testing.simulation import RolloutSimulation, VersionBehaviour
from heliostat.testing.simulation.cluster import STARTUP_SECONDS, Replica

NAMED = {
    "fine": VersionBehaviour(),
    "crashes": VersionBehaviour(starts=False),
    "never_healthy": VersionBehaviour(healthy=False),
    "wrong": VersionBehaviour(passes_golden=False),
    "fails": VersionBehaviour(error_rate=0.05),
    "fails_all": VersionBehaviour(error_rate=1.0),
    "slow": VersionBehaviour(latency_ms=80.0),
}


def version(number: int, behaviour: str = "fine") -> Version:
    return declarations.version(number, label=f"{number}-{behaviour}", contract=f"app:{behaviour}")


def desired(number: int, strategy: Strategy, replicas: int = 2, behaviour: str = "fine", timeout: float = 20.0) -> Desired:
    wanted = version(number, behaviour)
    return declarations.desired(number, strategy, replicas=replicas, version=wanted, startup_timeout_seconds=timeout)


def behaviour_of(wanted: Desired) -> str:
    return wanted.version.contract.partition(":")[2]


class World(RolloutSimulation):
    def __init__(self) -> None:
        super().__init__(application="flights")
        self.through: set[str] = set()
        """Versions that came to serve."""
        self._manner = "fine"
        self._since = 0
        """Where the events begin of what is there now; the numbers of rollouts begin anew with it."""

    @property
    def manner(self) -> str:
        """How the analysis runner is: `fine`, `golden` (only five requests are there), `mute`, `breaks`, or `disagrees`."""
        return self._manner

    @manner.setter
    def manner(self, manner: str) -> None:
        self._manner = manner
        self.analysis_runner.recorded_requests = 0 if manner == "golden" else 500
        self.analysis_runner.answers = manner != "mute"
        self.analysis_runner.error = "the object store is away" if manner == "breaks" else ""

    def behaviour(self, desired: Desired) -> VersionBehaviour:
        named = NAMED[behaviour_of(desired)]
        if self.manner == "disagrees":
            return replace(named, disagreement=0.5, prediction_distance=0.5, custom_check=Verdict.FAIL)
        return named

    @property
    def story(self) -> list[str]:
        return [f"{each.seconds:g} #{each.rollout} {each.phase}: {each.message}" for each in self.events]

    @property
    def ends(self) -> dict[int, list[Phase]]:
        """The ends of each rollout."""
        found: dict[int, list[Phase]] = {}
        for each in self.events[self._since :]:
            if each.phase in ENDS:
                found.setdefault(each.rollout, []).append(each.phase)
        return found

    def usable(self, colour: Colour) -> list[Replica]:
        return self.cluster.usable(colour)

    def serving(self) -> list[Replica]:
        """Replicas that get requests."""
        parts = {Colour.GREEN: self.share, Colour.BLUE: 10_000 - self.share}
        return [replica for colour, share in parts.items() if share for replica in self.usable(colour)]

    def delete(self) -> None:
        self._came_through(self.state)
        super().delete()

    def reconcile(self, acts: int | None = None) -> bool:
        before = self.state
        happened = super().reconcile(acts)
        if self.gone and before.deleting:
            assert not self.cluster.colours
            assert all(len(ends) == 1 for ends in self.ends.values()), self.ends
            # What comes next counts from one.
            self._since, self.ledger = len(self.events), []
        elif self.rollout is not None and self.rollout.number > (before.rollout.number if before.rollout is not None else 0):
            self._came_through(before)
            assert not self.rollout.direct or identity(self.rollout.target) in self.through, "it has proven nothing"
            refused = {each.fingerprint for each in before.refused}
            assert as_judged(self.rollout.target) not in refused, "what was refused is shipped again"
        return happened

    def _came_through(self, state: State) -> None:
        live = state.slot(state.live).desired if state.live is not None else None
        self.through |= {identity(live)} if live is not None else set()


__all__ = ["STARTUP_SECONDS", "World", "behaviour_of", "desired", "version"]
