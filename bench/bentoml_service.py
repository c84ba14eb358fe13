"""The flights model as BentoML serves one: a service of its own, as its documentation says, with the workload's contract.

Runs in an environment of its own (`bench.bentoml`), which has BentoML and LightGBM, and reads this library's sources.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml

from workloads.flights.contract import CONTRACT, Flight, Lateness
from workloads.flights.predictor import FlightsPredictor


@bentoml.service(workers=int(os.environ["HELIOSTAT_BENCH_WORKERS"]), logging={"access": {"enabled": False}})
class Flights:
    """The model in every worker."""

    def __init__(self) -> None:
        self._predictor = FlightsPredictor.load(Path(os.environ["HELIOSTAT_BENCH_MODEL"]))

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, flight: Flight) -> Lateness:
        """Answer one flight; no coroutine, as in BentoML's own examples of a model, which so runs in a thread."""
        scores: Any = self._predictor.predict(CONTRACT.columns([flight]))
        answer: Lateness = CONTRACT.respond(float(scores[0]))
        return answer
