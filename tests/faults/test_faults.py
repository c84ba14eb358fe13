"""The table of faults: a rollout a cell, under load, a SIGKILL in one of its states, and what came of it.

Its cells share a cluster, and what is known of these very sources is not measured again.
"""

from __future__ import annotations

import pytest

from bench.commands import MeasurementError
from heliostat.systems.errors import PermanentError, RetryableError
from tests.faults.sitting import Sitting
from tests.faults.table import Cell, cells

_MOST_S = 3600
"""Each wait in a cell has an end of its own; this one is for what hangs all the same."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(_MOST_S)]


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.name) for cell in cells()])
def test_what_is_killed_costs_what_is_promised_and_no_more(cell: Cell, sitting: Sitting) -> None:
    try:
        found = sitting.verdict(cell)
    except (MeasurementError, RetryableError, PermanentError) as error:
        pytest.exit(f"no world to hurt came up: {error}", returncode=pytest.ExitCode.TESTS_FAILED)
    if found is None:
        pytest.skip("the time is over")
    if found["nothing"]:
        pytest.skip(f"there was nothing to kill: {found['nothing']}")
    if not found["holds"]:
        pytest.fail("\n".join(found["why"]), pytrace=False)
