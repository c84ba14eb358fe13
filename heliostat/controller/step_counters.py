"""What post-processing steps did to answers, asked of all replicas at each scrape, for Prometheus.

A replica counts from its own beginning. Only what came since it was asked last is added here, so that a counter goes on where
replicas come and go; what one did between the last scrape and its end is in the prediction log alone.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from heliostat.controller.asking_replicas import asked
from heliostat.controller.reconciler import Reconciler
from heliostat.rollout.model import State
from heliostat.spec.postprocessing import POSTPROCESSING, StepCounts
from heliostat.spec.rollouts import Desired


class StepKey(NamedTuple):
    """What is counted apart, as labels."""

    application: str
    version: str
    """The application's."""
    step: str
    outcome: str
    reason: str


class StepCounters:
    """Counts since the controller began."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.answers: Counter[StepKey] = Counter()
        self.removed: Counter[StepKey] = Counter()
        self._known: dict[str, StepCounts] = {}
        """What each replica said last, by its tally."""

    async def refresh(self) -> None:
        """Ask every replica that has steps; what does not answer in time is asked again at the next scrape."""
        found = await asked(self._reconciler, POSTPROCESSING, StepCounts, _has_steps)
        told = [(place, counts) for place, counts in found if counts is not None]
        for place, counts in told:
            self._take(place.application, place.version, counts)
        if len(told) == len(found):  # else one that was silent would be counted from zero again
            self._known = {counts.tally: counts for _, counts in told}

    def _take(self, name: str, label: str, counts: StepCounts) -> None:
        before = self._known.get(counts.tally, StepCounts(tally=counts.tally))
        known = {(each.step, each.outcome, each.reason): each for each in before.counts}
        for each in counts.counts:
            key = StepKey(name, label, each.step, each.outcome.value, each.reason)
            last = known.get((each.step, each.outcome, each.reason))
            self.answers[key] += each.answers - (last.answers if last else 0)
            self.removed[key] += each.removed - (last.removed if last else 0)
        self._known[counts.tally] = counts


def _has_steps(_: State, desired: Desired) -> bool:
    return bool(desired.version.postprocessing)
