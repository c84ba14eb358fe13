"""What a look needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from heliostat.jobs.monitoring.model import Answers
from heliostat.monitoring.fitting import Fitted
from heliostat.monitoring.reference import Reference
from heliostat.monitoring.state import MonitorState
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.systems.objects import ObjectStore


@dataclass(frozen=True)
class Looking:
    """What is looked at, by what, and since when."""

    specification: MonitorSpecification
    store: ObjectStore
    reference: Reference
    answering: Answers
    state: MonitorState
    now: datetime
    declared: str
    """The digest of what is declared, of which the specification has what holds for the version."""
    fit: Fitted
    """What does not hold for it."""
