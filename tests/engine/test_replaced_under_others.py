"""What is replaced by creation first goes once all that stood on it has moved: as a cluster under its applications."""

from __future__ import annotations

import pytest
from engine_harness import Lab

from heliostat.engine.events import Op

PROGRAM = """
cluster = Lab('cluster', replace_size={size})
controller = Lab('controller', v=cluster.made, size={size})
Lab('application', v=controller.made, size={size}{more})
"""


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_move_that_fails_keeps_the_old_one_and_the_next_run_removes_it_last(lab: Lab, goes_on: bool) -> None:
    await lab.up(PROGRAM.format(size=1, more=""))
    for _ in range(2):
        summary = await lab.up(PROGRAM.format(size=2, more=", fail='update'"), continue_on_error=goes_on)
        assert not summary.succeeded
        assert lab.calls("delete") == []
        assert lab.names().count("cluster~") == 1
    summary = await lab.up(PROGRAM.format(size=2, more=""))
    assert summary.succeeded
    assert lab.calls("create", "update", "delete") == ["update application", "delete cluster"]
    assert lab.names() == ["cluster", "controller", "application"]
    assert summary.changes[Op.SAME] == 3


async def test_all_that_stands_on_it_is_updated_before_the_old_one_goes(lab: Lab) -> None:
    await lab.up(PROGRAM.format(size=1, more=""))
    summary = await lab.up(PROGRAM.format(size=2, more=""))
    assert summary.succeeded
    moved = ["create cluster", "update controller", "update application", "delete cluster"]
    assert lab.calls("create", "update", "delete") == moved
