"""Fills the table, cell after cell, on one world for as long as that stays whole."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from bench import report
from bench.session import SOURCE, sweep
from tests.faults.cell import measure
from tests.faults.options import Which
from tests.faults.outcome import Outcome, retried
from tests.faults.records import Record, Records, is_good, sources
from tests.faults.table import Cell
from tests.faults.up import Project
from tests.faults.world import World

FOLDER = SOURCE / ".heliostat" / "faults"
_ATTEMPTS = 2
"""A cell whose rollout was not seen in its state is tried again, and says so: a state can pass by on a busy machine.

What comes once something was killed is never tried again."""

log = logging.getLogger(__name__)


class Sitting:
    """One run, of `minutes` at most: no cell is begun after that."""

    def __init__(self, records: Records, which: Which, minutes: float) -> None:
        self.records = records
        self.measured: dict[str, Record] = {}
        """What this sitting has measured, by the cells' names."""
        self.left: list[Cell] = []
        """What there was no time for."""
        self._which, self._seconds, self._end = which, 60 * minutes, 0.0
        self._sources = sources()
        self._commit, self._machine = report.commit(SOURCE), report.machine()
        self._world: World | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Be the only sitting of this checkout for as long as the block takes; its world ends with it.

        Raises:
            filelock.Timeout: there is another one.
        """
        with FileLock(FOLDER.with_suffix(".lock"), timeout=0):
            self.records.load()
            self._end = time.monotonic() + self._seconds
            try:
                yield
            finally:
                self._close()

    def is_open(self, cell: Cell) -> bool:
        """Whether a cell is to be measured."""
        if self._which is Which.OPEN:
            known = self.records.any(cell)
            return known is None or not known["holds"]
        return self._which is Which.ALL or self.records.get(cell, self._sources) is None

    def verdict(self, cell: Cell) -> Record | None:
        """What is known of a cell, which is measured where it is open; None where there is no time left for that.

        Raises:
            MeasurementError, RetryableError, PermanentError: no world to hurt came up.
        """
        if not self.is_open(cell):
            return self.records.any(cell)
        if time.monotonic() >= self._end:
            self.left.append(cell)
            return None
        try:
            outcome = self._outcome(cell)
        except BaseException:  # such as an interrupt: nobody knows what state the world is in
            self._close()
            raise
        record = {**outcome.record(), "sources": self._sources, "commit": self._commit, "machine": self._machine}
        self.measured[cell.name] = kept = self.records.put(record)
        if not is_good(kept):
            self._close()
        return kept

    def _outcome(self, cell: Cell) -> Outcome:
        tries: list[Outcome] = []
        while len(tries) < _ATTEMPTS:
            tries.append(measure(cell, *self._whole_world()))
            if not tries[-1].error:
                break
            log.warning("%s: %s", cell.name, tries[-1].error)
            self._close()
        return retried(tries[-1], tries[:-1])

    def _whole_world(self) -> tuple[World, Project]:
        if self._world is None:
            sweep(FOLDER)
            shutil.rmtree(FOLDER, ignore_errors=True)
            self._world = World(FOLDER)
            began = time.monotonic()
            self._world.start()
            log.info("a world of its own, up after %.0f s", time.monotonic() - began)
        return self._world, Project(self._world)

    def _close(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None
