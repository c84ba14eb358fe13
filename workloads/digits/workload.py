"""Declares `digits`: which digit is on an image? Trained with JAX, on CPUs, GPUs or TPUs as the stack says."""

from __future__ import annotations

from heliostat.resources.served_model import by_convention
from heliostat.spec.tasks import Multiclass
from workloads.digits.parameters import Training

TRAINING = Training()
"""What a stack may override."""
declare = by_convention(__name__, TRAINING, task=Multiclass(classes=tuple(map(str, range(10)))))
