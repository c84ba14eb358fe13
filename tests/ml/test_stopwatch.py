"""What a worker's time counts as."""

from __future__ import annotations

from heliostat.ml.stopwatch import Stopwatch, peak_memory_mib
from heliostat.spec.training_report import Phase


class Clock:
    """Seconds that pass when a test says so; half of them are computed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def cpu(self) -> float:
        return self.now / 2


def test_what_is_measured_inside_counts_for_the_inner_phase_alone() -> None:
    clock = Clock()
    watch = Stopwatch(clock, clock.cpu)
    clock.now = 10.0
    with watch.phase(Phase.CHECKPOINTS):
        clock.now = 12.0
        with watch.phase(Phase.SYNCHRONISATION):
            clock.now = 17.0
        clock.now = 18.0
    clock.now = 20.0
    times = watch.times(1, 2, "10.0.0.1", 100.0)
    assert (times.seconds, times.checkpoints, times.synchronisation, times.input) == (20.0, 3.0, 5.0, 0.0)
    assert times.compute == 12.0
    assert times.cpu_seconds == 6.0, "what the process computed while it kept or waited is not counted"
    assert (times.rank, times.threads) == (1, 2)


def test_an_open_phase_counts_so_far() -> None:
    clock = Clock()
    watch = Stopwatch(clock, clock.cpu)
    with watch.phase(Phase.INPUT):
        clock.now = 4.0
        assert watch.times(0, 1, "", 0).input == 4.0


def test_the_peak_of_this_process_is_what_the_system_says() -> None:
    assert 10 < peak_memory_mib() < 100_000
