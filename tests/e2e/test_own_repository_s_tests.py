"""The slow test of a repository that `heliostat new` made, with the installed library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.installed import environment_with, run, wheel_in

pytestmark = [pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1200)]


def test_the_whole_stack_of_a_new_repository_goes_up_and_down(tmp_path: Path) -> None:
    (tmp_path / "wheel").mkdir()
    commands = environment_with(wheel_in(tmp_path / "wheel"), tmp_path / "environment")
    run(commands / "heliostat", tmp_path, "new", "mine")
    told = run(commands / "python", tmp_path / "mine", "-m", "pytest", "-q", "-p", "no:xdist", "-m", "stack", timeout=900)
    assert "1 passed" in told
    assert not (tmp_path / "mine/.heliostat/stacks").exists(), "it was a copy that was up"
