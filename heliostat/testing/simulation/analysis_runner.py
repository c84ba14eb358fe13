"""The runner of an analysis: answers two seconds after it was asked, by how the versions behave."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.rollout.model import Analyse
from heliostat.spec.analysis import Measurement, Measurements, Source, Verdict
from heliostat.testing.simulation.behaviour import VersionBehaviour
from heliostat.testing.simulation.clients import Answering

ANSWERS_AFTER_SECONDS = 2.0
GOLDEN_REQUESTS = 5


@dataclass
class AnalysisRunner:
    """It replays requests to both versions, and compares what they answer."""

    recorded_requests: int = 500
    """0: only the contract's golden requests are there."""
    answers: bool = True
    error: str = ""
    """Why it cannot measure anything; empty where it can."""
    asks: int = 0
    """Analyses that it was asked for."""
    action: Analyse | None = None
    since: float = 0.0
    """When it was asked for the present one, Unix time in seconds."""

    def ask(self, action: Analyse | None, now: float) -> None:
        """Begin an analysis where it is another one than before, or end it."""
        if (action.key if action is not None else "") != (self.action.key if self.action is not None else ""):
            self.action, self.since = action, now
            self.asks += action is not None

    def measured(self, now: float, key: str, candidate: VersionBehaviour, stable: VersionBehaviour) -> Measurements | None:
        """Give what was measured for the analysis called `key`; None where nothing was yet."""
        if self.action is None or key != self.action.key or not self.answers or now - self.since < ANSWERS_AFTER_SECONDS:
            return None
        source = Source.RECENT if self.recorded_requests else Source.GOLDEN
        if self.error:
            return Measurements(source=source, error=self.error)
        requests = self.recorded_requests or GOLDEN_REQUESTS
        kinds = enumerate(check.kind for check in self.action.analysis.checks)
        checks = {number: self._measurement(kind, requests, candidate, stable) for number, kind in kinds}
        return Measurements(
            source=source,
            requests=requests,
            candidate=Answering().answered(requests, candidate),
            serving=Answering().answered(requests, stable),
            checks={number: each for number, each in checks.items() if each is not None},
            exhausted=True,
        )

    def _measurement(self, kind: str, rows: int, candidate: VersionBehaviour, stable: VersionBehaviour) -> Measurement | None:
        """What is measured for one check; None where it is counted."""
        match kind:
            case "disagreement":
                return Measurement(candidate=candidate.disagreement, rows=rows)
            case "prediction-distance":
                return Measurement(candidate=candidate.prediction_distance, rows=rows)
            case "model-metric" if self.recorded_requests and candidate.model_metric is not None:
                return Measurement(candidate=candidate.model_metric, serving=stable.model_metric, rows=rows)
            case "model-metric":
                return Measurement()
            case "custom" if isinstance(candidate.custom_check, Verdict):
                return Measurement(verdict=candidate.custom_check, rows=1)
            case "custom":
                return Measurement(candidate=candidate.custom_check, rows=1)
        return None
