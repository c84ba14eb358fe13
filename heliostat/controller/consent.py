"""How many requests were answered and not kept for want of consent, asked of the replicas for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.controller.asking_replicas import asked
from heliostat.controller.reconciler import Reconciler
from heliostat.rollout.model import State
from heliostat.spec.personal import PRIVACY, KeptCounts


@dataclass(frozen=True)
class ReplicaCounts:
    """What one replica counted since it started."""

    application: str
    version: str
    replica: str
    counts: KeptCounts


class Consents:
    """Asks every replica of the applications that ask for consent."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.counts: tuple[ReplicaCounts, ...] = ()
        """As they were asked for last, of the replicas that answered."""

    async def refresh(self) -> None:
        """Ask all of them; what does not answer in time is not told."""
        found = await asked(self._reconciler, PRIVACY, KeptCounts, lambda state, _: asks_consent(state))
        self.counts = tuple(
            ReplicaCounts(place.application, place.version, place.replica, counts)
            for place, counts in found
            if counts is not None
        )


def asks_consent(state: State) -> bool:
    """Whether what is declared of an application keeps only what its clients let it keep."""
    privacy = state.declared.version.privacy if state.declared is not None else None
    return privacy is not None and privacy.consent is not None
