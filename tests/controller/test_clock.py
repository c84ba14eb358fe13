"""The clock goes on evenly, whoever sets the wall clock, and across restarts of the controller."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.controller.clock import Clock, drawn
from heliostat.controller.store import Store


def clock(directory: Path, boot: str, since_boot: float, wall: float) -> Clock:
    return Clock(Store(directory), lambda: boot, lambda: since_boot, lambda: wall)


def test_it_begins_with_the_wall_clock(tmp_path: Path) -> None:
    assert clock(tmp_path, "a", 100.0, 5_000.0).now() == 5_000.0


def test_a_wall_clock_that_is_set_while_the_controller_is_away_changes_nothing(tmp_path: Path) -> None:
    clock(tmp_path, "a", 100.0, 5_000.0)
    assert clock(tmp_path, "a", 160.0, 1.0).now() == 5_060.0
    assert clock(tmp_path, "a", 170.0, 9_999_999.0).now() == 5_070.0


def test_another_boot_begins_with_the_wall_clock_again_and_keeps_that(tmp_path: Path) -> None:
    clock(tmp_path, "a", 100.0, 5_000.0)
    assert clock(tmp_path, "b", 3.0, 8_000.0).now() == 8_000.0
    assert clock(tmp_path, "b", 4.0, 1.0).now() == 8_001.0


class Machine:
    """Both of its clocks, which run together until somebody sets one of them."""

    def __init__(self, directory: Path, since_boot: float = 100.0, wall: float = 5_000.0) -> None:
        self.directory = directory
        self.since_boot = since_boot
        self.wall = wall

    def start(self) -> Clock:
        return Clock(Store(self.directory), lambda: "a", lambda: self.since_boot, lambda: self.wall)

    def run(self, clock: Clock, seconds: float, step: float = 0.25) -> list[float]:
        """What the clock shows meanwhile."""
        found = []
        for _ in range(round(seconds / step)):
            self.since_boot += step
            self.wall += step
            found.append(clock.now())
        return found


@pytest.mark.parametrize("error", [300.0, -300.0])
def test_a_wall_clock_that_is_set_right_after_the_boot_is_agreed_with_within_the_hour(tmp_path: Path, error: float) -> None:
    machine = Machine(tmp_path)
    clock = machine.start()
    machine.wall += error
    before = clock.now()
    shown = machine.run(clock, 3_600)
    assert clock.now() == pytest.approx(machine.wall)
    assert all(b - a == pytest.approx(0.25, rel=0.1001) for a, b in zip([before, *shown], shown, strict=False))


def test_the_clock_never_goes_back_or_jumps_and_a_wait_is_off_by_a_tenth_at_most(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    clock = machine.start()
    began = clock.now()
    machine.wall -= 86_400
    assert clock.now() == began
    machine.run(clock, 600)
    assert clock.now() - began == pytest.approx(540)
    machine.wall += 10 * 86_400
    machine.run(clock, 600)
    assert clock.now() - began == pytest.approx(540 + 660)


@pytest.mark.parametrize("error", [300.0, -300.0])
def test_a_controller_that_is_started_again_goes_on_where_the_clock_was_drawn_to(tmp_path: Path, error: float) -> None:
    machine = Machine(tmp_path)
    clock = machine.start()
    machine.wall += error
    machine.run(clock, 60)
    before = clock.now()
    machine.since_boot += 0.5
    machine.wall += 0.5
    after = machine.start().now()
    assert before < after < before + 0.7


def test_what_separates_the_clocks_is_drawn_by_a_tenth_and_no_further_than_it_is() -> None:
    assert drawn(10.0, 100.0, 50.0) == 15.0
    assert drawn(10.0, -100.0, 50.0) == 5.0
    assert drawn(10.0, 11.0, 50.0) == 11.0
    assert drawn(10.0, 100.0, 0.0) == 10.0
    assert drawn(10.0, 100.0, -5.0) == 10.0


def test_the_machines_own_clock_is_read(tmp_path: Path) -> None:
    import time

    found = Clock(Store(tmp_path))
    assert found.now() == pytest.approx(time.time(), abs=1.0)
    assert found.now() <= found.now()
