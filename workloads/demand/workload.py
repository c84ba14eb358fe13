"""Declares `demand`: how many flights leave an airport in an hour to come?"""

from __future__ import annotations

from heliostat.resources.served_model import by_convention
from heliostat.spec.tasks import Regression
from workloads.demand.parameters import Training

TRAINING = Training()
"""What a stack may override."""
declare = by_convention(__name__, TRAINING, task=Regression())
