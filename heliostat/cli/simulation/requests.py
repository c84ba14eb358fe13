"""Clients that ask when a workload's rows happened, and the rows that they asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pyarrow as pa

from heliostat.cli.simulation.rows import KNOWN_AFTER
from heliostat.monitoring.windows import Micros, micros
from heliostat.rollout.model import Colour
from heliostat.testing.simulation.behaviour import VersionBehaviour
from heliostat.testing.simulation.clients import Clients

_MICROS = 1_000_000


@dataclass
class RecordedClients(Clients):
    """Clients that ask at the recorded moments, whatever `per_second` says."""

    moments: Micros = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """When, by the microsecond and rising."""

    def send(self, now: float, seconds: float, share: int, behaviours: Mapping[Colour, VersionBehaviour | None]) -> None:
        """Ask what was asked in the `seconds` up to `now`."""
        first, last = np.searchsorted(self.moments, [(now - seconds) * _MICROS, now * _MICROS], side="right")
        self.per_second = float(last - first) / seconds
        super().send(now, seconds, share, behaviours)


class Recorded:
    """The rows of a workload by the time at which they were asked about, the oldest first.

    Args:
        rows: In any order.
        column: When each was asked about.
        label: What turned out to be true: a number, true or false, or one of the classes.
        classes: Of the task, where labels are of these.
    """

    def __init__(self, rows: pa.Table, column: str, label: str, classes: tuple[str, ...] = ()) -> None:
        times, there = micros(rows[column])
        order = np.argsort(times[there], kind="stable")
        self.moments: Micros = times[there][order]
        self._rows, self._label = rows.filter(pa.array(there)).take(pa.array(order)), label
        self._numbers = {name: float(number) for number, name in enumerate(classes)}

    def last(self, most: int, now: float) -> pa.Table:
        """The newest rows that were asked about by `now`, Unix time in seconds, and whose label is known by then."""
        known = int(np.searchsorted(self.moments, (now - KNOWN_AFTER / timedelta(seconds=1)) * _MICROS, side="right"))
        return self._rows.slice(max(0, known - most), min(most, known))

    def labels(self, rows: pa.Table) -> list[float]:
        """Of some of the rows; a class by its number, as ground truth is compared."""
        return [self._numbers[each] if isinstance(each, str) else float(each) for each in rows[self._label].to_pylist()]
