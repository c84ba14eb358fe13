"""Declares `flights`: will a flight arrive more than 15 minutes late, said at scheduling time?"""

from __future__ import annotations

from pathlib import Path

from heliostat.resources import Platform, ServedModel
from heliostat.resources.served_model import ServedModelArgs
from heliostat.spec.workload import Workload
from workloads.flights.data_parameters import Data
from workloads.flights.parameters import Training

TRAINING = Training()
"""What a stack may override."""


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
            data_parameters=Data(),
            parameters=TRAINING,
        ),
        spec,
        platform,
    )
