"""The clock goes on evenly, whoever sets the wall clock, and across restarts of the controller."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.controller.clock import Clock
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


def test_the_machines_own_clock_is_read(tmp_path: Path) -> None:
    import time

    found = Clock(Store(tmp_path))
    assert found.now() == pytest.approx(time.time(), abs=1.0)
    assert found.now() <= found.now()
