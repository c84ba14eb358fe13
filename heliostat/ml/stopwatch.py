"""Where a worker's time goes: what is measured is told, the rest is computing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heliostat.spec.training_report import Phase, WorkerTimes

_KIB_A_MIB: Final = 1024


class Stopwatch:
    """The phases of one worker. What is measured inside of another phase counts for the inner one alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time) -> None:
        self._clock, self._cpu = clock, cpu
        self._began = clock()
        self._spent = dict.fromkeys(Phase, 0.0)
        self._cpu_began, self._cpu_elsewhere = cpu(), 0.0
        self._open: list[Phase] = []
        self._since = (0.0, 0.0)

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return self._clock() - self._began

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """What runs inside belongs to `phase`. For the thread that trains."""
        self._settle()
        self._open.append(phase)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def _settle(self) -> None:
        now = (self._clock(), self._cpu())
        if self._open:
            self._spent[self._open[-1]] += now[0] - self._since[0]
            self._cpu_elsewhere += now[1] - self._since[1]
        self._since = now

    def times(self, rank: int, threads: int, node: str, node_memory_mib: float, accelerator: str = "") -> WorkerTimes:
        """All so far."""
        self._settle()
        return WorkerTimes(
            rank=rank,
            node=node,
            node_memory_mib=round(node_memory_mib, 1),
            threads=threads,
            seconds=round(self.seconds, 3),
            input=round(self._spent[Phase.INPUT], 3),
            synchronisation=round(self._spent[Phase.SYNCHRONISATION], 3),
            checkpoints=round(self._spent[Phase.CHECKPOINTS], 3),
            cpu_seconds=round(self._cpu() - self._cpu_began - self._cpu_elsewhere, 3),
            accelerator=accelerator,
            peak_memory_mib=round(peak_memory_mib(), 1),
        )


def peak_memory_mib() -> float:
    """The most that this process was resident. The rusage of a process begins with that of the one that forked it."""
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1]) / _KIB_A_MIB
