"""What an analysis measures in a simulation: both models are asked the newest rows, by the product's own comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from heliostat.analysis.answers import Pair
from heliostat.analysis.client import Reply, Request
from heliostat.analysis.comparisons import comparison, figures
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.cli.simulation.requests import Recorded
from heliostat.rollout.model import Analyse, Colour
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Measurements, Source
from heliostat.spec.base import Name
from heliostat.testing.simulation.analysis_runner import ANSWERS_AFTER_SECONDS, AnalysisRunner
from heliostat.testing.simulation.behaviour import VersionBehaviour
from heliostat.testing.simulation.clients import counts

Answers = Callable[[Colour, pa.Table], Sequence[bytes]]
"""What the version of a colour answers to rows, as JSON, one a row."""
_AGAIN_SECONDS = 86_400.0
"""Labels come meanwhile, so a long analysis is measured anew."""
_MILLISECONDS = 10.0


class ReplayRunner(AnalysisRunner):
    """A runner that measures with models in this process."""

    def __init__(self, recorded: Recorded, answers: Answers, address: StoreAddress, application: Name) -> None:
        super().__init__()
        self._recorded, self._answers, self._address, self._application = recorded, answers, address, application
        self._measured: tuple[str, float, Measurements] | None = None
        """Of which analysis, when, and what."""

    def measured(self, now: float, key: str, candidate: VersionBehaviour, stable: VersionBehaviour) -> Measurements | None:
        """What the analysis called `key` has measured by `now`; how the versions are said to behave means nothing."""
        action = self.action
        if action is None or key != action.key or now - self.since < ANSWERS_AFTER_SECONDS:
            return None
        known = self._measured
        if known is None or known[0] != key or now - known[1] >= _AGAIN_SECONDS:
            self._measured = known = (key, now, self._measure(action, now))
        return known[2]

    def _measure(self, action: Analyse, now: float) -> Measurements:
        rows = self._recorded.last(action.analysis.min_requests, now)
        if not rows.num_rows:
            return Measurements(source=Source.RECENT, exhausted=True)
        ids = [str(number) for number in range(rows.num_rows)]
        truth = GroundTruth(self._address, self._application)
        truth.labels = {(name, 0): label for name, label in zip(ids, self._recorded.labels(rows), strict=True)}
        checks = [
            (place, found)
            for place, check in enumerate(action.analysis.checks)
            if (found := comparison(check, truth)) is not None
        ]
        ours, theirs = self._answers(action.candidate, rows), self._answers(action.candidate.other, rows)
        for name, our, their in zip(ids, ours, theirs, strict=True):
            pair = Pair(Request(name, b"{}"), Reply(200, our, _MILLISECONDS), Reply(200, their, _MILLISECONDS))
            for _, each in checks:
                each.add(pair)
        answered = counts(rows.num_rows, milliseconds=_MILLISECONDS)
        return Measurements(
            source=Source.RECENT,
            requests=rows.num_rows,
            candidate=answered,
            serving=answered,
            checks=figures(checks),
            exhausted=True,
        )
