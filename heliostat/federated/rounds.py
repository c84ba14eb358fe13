"""What a round does next, decided from who answered by now. Pure.

A site that has not answered by a step's deadline is absent: the round goes on without it where enough others did, and no later
one waits for it until it asks for its task again.
"""

from __future__ import annotations

from enum import Enum

from heliostat.federated.messages import Step
from heliostat.spec.base import Model


class Verdict(Enum):
    """What becomes of a step."""

    WAIT = "wait"
    GO_ON = "go on"
    RESTART = "restart"
    """The attempt has lost too many: another one begins, with whoever is there."""


class OpenRound(Model):
    """How far a round is; what a coordinator that was killed goes on from."""

    round: int = 1
    attempt: int = 1
    passed: dict[Step, tuple[str, ...]] = {}
    """Who answered, by the steps that are over."""

    def after(self, step: Step, answered: frozenset[str]) -> OpenRound:
        """The same once a step is over."""
        return self.model_copy(update={"passed": {**self.passed, step: tuple(sorted(answered))}})

    def again(self) -> OpenRound:
        """Another attempt of the same round."""
        return OpenRound(round=self.round, attempt=self.attempt + 1)

    def next(self) -> OpenRound:
        """The round after this one."""
        return OpenRound(round=self.round + 1)


def verdict(step: Step, answered: int, pending: int, required: int, late: bool) -> Verdict:
    """Decide about a step from how many answered, how many are still waited for, and whether its time is over."""
    if answered >= required and (late or not pending or step is Step.REVEAL):
        return Verdict.GO_ON
    if step in (Step.FIT, Step.KEYS) or (pending and not late):
        # Sites may still come: nothing was lost by waiting for them.
        return Verdict.WAIT
    return Verdict.RESTART


def threshold_of(members: int, min_sites: int) -> int:
    """How many sites have to be left for masks to be undone: more than half, so that no two sums come of one attempt."""
    return max(min_sites, members // 2 + 1)
