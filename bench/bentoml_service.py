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
    """Answers one flight."""

    def __init__(self) -> None:
        self._predictor = FlightsPredictor.load(Path(os.environ["HELIOSTAT_BENCH_MODEL"]))

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, flight: Flight) -> Lateness:
        """On the event loop: the model takes a tenth of a millisecond, a thread would cost more."""
        scores: Any = self._predictor.predict(CONTRACT.columns([flight]))
        answer: Lateness = CONTRACT.respond(float(scores[0]))
        return answer
