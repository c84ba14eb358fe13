"""Clients that ask when a workload's rows happened, and the rows that they asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from heliostat.cli.simulation.rows import Happened
from heliostat.monitoring.windows import Micros
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
        happened: In any order.
        label: What turned out to be true: a number, true or false, or one of the classes.
        classes: Of the task, where labels are of these.
    """

    def __init__(self, happened: Happened, label: str, classes: tuple[str, ...] = ()) -> None:
        order = np.argsort(happened.at, kind="stable")
        self.moments: Micros = happened.at[order]
        self._known = happened.known[order]
        self._rows, self._label = happened.rows.take(pa.array(order)), label
        self._numbers = {name: float(number) for number, name in enumerate(classes)}

    def last(self, most: int, now: float) -> pa.Table:
        """The newest rows that were asked about by `now`, Unix time in seconds, and whose label is known by then."""
        places = np.flatnonzero((self.moments <= now * _MICROS) & (self._known <= now * _MICROS))
        return self._rows.take(pa.array(places[len(places) - min(most, len(places)) :]))

    def labels(self, rows: pa.Table) -> list[float]:
        """Of some of the rows; a class by its number, as ground truth is compared."""
        return [self._numbers[each] if isinstance(each, str) else float(each) for each in rows[self._label].to_pylist()]
