"""Declares `flights`: will a flight arrive more than 15 minutes late, said at scheduling time?

Change a parameter here, run `make up`, and watch the next version take its place.
"""

from __future__ import annotations

from pathlib import Path

from heliostat.resources import Platform, ServedModel
from heliostat.resources.served_model import ServedModelArgs
from heliostat.spec.base import Parameters
from heliostat.spec.workload import Workload

DATA: Parameters = {
    "late_minutes": 15,
}

PARAMETERS: Parameters = {
    "rounds": 300,
    "num_leaves": 31,
    "learning_rate": 0.1,
}


def declare(name: str, spec: Workload, root: Path, platform: Platform) -> ServedModel:
    """The workload's resources, from its data to its answers."""
    return ServedModel(
        name,
        ServedModelArgs(
            root=root,
            dataset="workloads.flights.dataset:snapshot",
            train="workloads.flights.train:train",
            predictor="workloads.flights.predictor:FlightsPredictor",
            contract="workloads.flights.contract:CONTRACT",
            data_parameters=DATA,
            parameters=PARAMETERS,
        ),
        spec,
        platform,
    )
