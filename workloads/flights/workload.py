"""Declares `flights`: will a flight arrive more than 15 minutes late, said at scheduling time?"""

from __future__ import annotations

from heliostat.resources.served_model import by_convention
from heliostat.spec.tasks import Binary
from workloads.flights.data_parameters import Data
from workloads.flights.parameters import Training

TRAINING = Training()
"""What a stack may override."""
declare = by_convention(__name__, TRAINING, Data(), predictor="predictor:FlightsPredictor", task=Binary())
