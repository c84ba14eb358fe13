from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine_harness import Lab

from heliostat.engine.deployment import EngineError
from heliostat.engine.events import Op
from heliostat.engine.state.snapshot import Snapshot


async def test_a_plugin_that_dies_in_a_create_is_named_with_its_last_words(lab: Lab) -> None:
    summary = await lab.up("Lab('a', die='create')")
    assert not summary.succeeded
    assert "plugin 'lab' died of signal SIGKILL during Create" in lab.said("error")
    assert "a takes the process along" in lab.said("error")
    assert "Traceback" not in lab.said("error")
    assert lab.names() == []


async def test_a_call_that_a_plugin_leaves_without_a_word_is_named_with_what_to_do(lab: Lab) -> None:
    summary = await lab.up("Lab('a', break_off='create')")
    assert not summary.succeeded
    assert "plugin 'lab' broke off Create and does not say why; run it again" in lab.said("error")
    assert "a is left half-way" in lab.said("error")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("hang", "waiting for a license server"),
        ("die", "no license found"),
        ("chatter", "'Welcome to lab!' to stdout where its port was expected"),
    ],
)
async def test_a_plugin_that_does_not_come_up_is_explained(lab: Lab, start: str, expected: str) -> None:
    lab.environment = {"LAB_START": start}
    summary = await lab.up("Lab('a', v=1)", plugin_start_timeout_s=3.0 if start == "hang" else 60.0)
    assert not summary.succeeded
    assert "plugin 'lab'" in lab.said("error")
    assert expected in lab.said("error")


async def test_a_provider_that_is_not_there_names_the_official_cli(lab: Lab) -> None:
    summary = await lab.up("pulumi.CustomResource('aws:s3:Bucket', 'a', {})")
    assert not summary.succeeded
    assert "no plugin for provider 'aws'" in lab.said("error")
    assert "official CLI" in lab.said("error")


async def test_what_a_failed_create_left_is_kept_with_its_errors_and_carried_on(lab: Lab) -> None:
    summary = await lab.up("a = Lab('a', half=True)\nLab('b', v=a.made)")
    assert not summary.succeeded
    assert "made, but not well" in lab.said("error")
    assert "it does not come up" in lab.said("error")
    assert lab.names() == ["a"]
    assert lab.resources()["a"].init_errors == ["it does not come up"]
    assert lab.resources()["a"].id == "a-id"
    summary = await lab.up("a = Lab('a', half=True)\nLab('b', v=a.made)")
    assert summary.succeeded
    assert lab.calls("create", "update") == ["update a", "create b"]
    assert lab.resources()["a"].init_errors == []


async def test_all_wrong_inputs_of_a_resource_are_told_at_once(lab: Lab) -> None:
    summary = await lab.up("Lab('a', wrong_one=1, wrong_two=2)")
    assert not summary.succeeded
    assert "property wrong_one: wrong_one is not known" in lab.said("error")
    assert "property wrong_two: wrong_two is not known" in lab.said("error")


async def test_a_failure_stops_what_comes_after_and_lets_what_runs_finish(lab: Lab) -> None:
    program = "Lab('bad', fail='create', after='slow')\nslow = Lab('slow', hold='create')\nLab('next', v=slow.made)"
    running = asyncio.create_task(lab.up(program, parallel=2))
    await lab.until_called("create bad")
    await lab.until_called("create slow")
    lab.gate.touch()
    summary = await running
    assert not summary.succeeded
    assert lab.names() == ["slow"]
    assert lab.pending() == []


async def test_a_program_that_raises_fails_with_its_own_lines_only(lab: Lab) -> None:
    summary = await lab.up("Lab('a', v=1)\nraise ValueError('not today')")
    assert not summary.succeeded
    error = lab.said("error")
    assert "ValueError: not today" in error
    assert "__main__.py" in error
    assert "runpy" not in error


async def test_a_program_that_raises_deletes_nothing(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)\nLab('b', v=1)\npulumi.export('kept', 1)")
    summary = await lab.up("Lab('a', v=1)\nraise ValueError('not today')")
    assert not summary.succeeded
    assert sorted(lab.names()) == ["a", "b"]
    assert lab.resources()["lab-dev"].outputs == {"kept": 1}


async def test_a_virtual_environment_that_is_not_there_is_named_before_anything_begins(lab: Lab, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "PulumiPlugin.yaml").write_text("runtime:\n  name: python\n  options:\n    virtualenv: missing\n")
    (plugin / "__main__.py").write_text("")
    lab.plugins = {"lab": plugin}
    summary = await lab.up("Lab('a', v=1)")
    assert not summary.succeeded
    assert f"there is no Python in the virtual environment {plugin / 'missing'}" in lab.said("error")


async def test_a_read_that_fails_in_a_refresh_keeps_the_state_and_the_others_go_on(lab: Lab) -> None:
    await lab.up("Lab('a', fail='read')\nLab('b', v=1)")
    lab.environment = {"LAB_GONE": "b-id"}
    summary = await lab.refresh()
    assert not summary.succeeded
    assert lab.names() == ["a"]


@pytest.mark.parametrize("kind", ["preview", "refresh"])
async def test_a_preview_takes_what_nobody_is_let_in_to_as_the_state_has_it_and_says_so(lab: Lab, kind: Any) -> None:
    program = "Lab('a', closed=True, v=1)\nLab('b', v=1)"
    await lab.up(program)
    summary = await lab.operate(kind, program, refresh=True, preview_only=kind == "refresh")
    assert summary.succeeded, lab.said("error")
    assert not summary.changes.get(Op.UPDATE)
    assert lab.said("warning") == "not read, and taken as the state has it: nothing lets anybody in to a"


async def test_a_preview_fails_where_a_read_fails_otherwise(lab: Lab) -> None:
    await lab.up("Lab('a', fail='read', v=1)")
    assert not (await lab.preview("Lab('a', fail='read', v=1)", refresh=True)).succeeded


@pytest.mark.parametrize("kind", ["update", "refresh", "preview"])
async def test_what_acts_and_its_own_preview_fail_where_nobody_is_let_in(lab: Lab, kind: Any) -> None:
    program = "Lab('a', closed=True, v=1)"
    await lab.up(program)
    summary = await lab.operate(kind, program, refresh=True, stand_in=False)
    assert not summary.succeeded
    assert lab.said("error") == "nothing lets anybody in to a"


async def test_a_failed_deletion_keeps_what_the_resource_depends_on(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nLab('b', v=a.made, fail='delete')\nLab('c', v=1)")
    summary = await lab.destroy(continue_on_error=True)
    assert not summary.succeeded
    assert sorted(lab.names()) == ["a", "b"]


async def test_a_cancel_ends_in_order(lab: Lab) -> None:
    running = asyncio.create_task(lab.up("a = Lab('a', hold='create')\nLab('b', v=a.made)"))
    await lab.until_called("create a")
    lab.cancel.set()
    await lab.until_called("cancel")
    lab.gate.touch()
    summary = await running
    assert summary.cancelled
    assert not summary.succeeded
    assert lab.names() == ["a"]
    assert lab.pending() == []
    assert lab.calls("create") == ["create a"]


async def test_a_second_cancel_aborts_and_the_checkpoint_says_what_was_under_way(lab: Lab) -> None:
    running = asyncio.create_task(lab.up("Lab('a', hold='create')"))
    await lab.until_called("create a")
    lab.cancel.set()
    await lab.until_called("cancel")
    lab.cancel.clear()
    await asyncio.sleep(0.2)
    lab.cancel.set()
    summary = await asyncio.wait_for(running, 60)
    assert summary.cancelled
    assert lab.pending() == ["creating a"]


async def test_a_replacement_that_was_cut_off_after_the_deletion_is_made_by_the_next_run(lab: Lab) -> None:
    await lab.up("Lab('a', replace_size=1, first=True)")
    summary = await lab.up("Lab('a', replace_size=2, first=True, fail='create')")
    assert not summary.succeeded
    assert lab.resources()["a"].pending_replacement
    summary = await lab.up("Lab('a', replace_size=2, first=True)")
    assert summary.succeeded
    assert lab.calls("create", "delete") == ["create a"]
    assert not lab.resources()["a"].pending_replacement


async def test_a_replaced_resource_whose_deletion_failed_is_deleted_by_the_next_run(lab: Lab) -> None:
    await lab.up("Lab('a', replace_size=1, fail='delete')")
    summary = await lab.up("Lab('a', replace_size=2)")
    assert not summary.succeeded
    assert lab.names() == ["a", "a~"]
    for resource in lab.checkpoint.snapshot.resources:
        resource.outputs.pop("fail", None)
    summary = await lab.up("Lab('a', replace_size=2)")
    assert summary.succeeded
    assert lab.calls("create", "delete") == ["delete a"]
    assert summary.changes == {Op.SAME: 2}
    assert lab.names() == ["a"]


async def test_no_process_is_left_after_an_operation(lab: Lab) -> None:
    before = set(psutil.Process(os.getpid()).children(recursive=True))
    await lab.up("Lab('a', die='create')\nLab('b', v=1)")
    await lab.up("Lab('a', v=1)")
    assert set(psutil.Process(os.getpid()).children(recursive=True)) <= before


class FullDisk:
    """A sink that has room for some saves only."""

    def __init__(self, room: int) -> None:
        self.room, self.snapshot, self.saves = room, Snapshot(), 0

    def save(self, snapshot: Snapshot) -> None:
        if self.saves >= self.room:
            raise EngineError("the disk is full")
        self.saves, self.snapshot = self.saves + 1, snapshot


async def test_a_full_disk_stops_the_operation_before_it_acts(lab: Lab) -> None:
    lab.checkpoint = FullDisk(room=4)  # type: ignore[assignment]
    summary = await lab.up("a = Lab('a', v=1)\nLab('b', v=a.made)")
    assert not summary.succeeded
    assert "the disk is full" in lab.said("error")
    assert lab.calls("create") == []


async def test_a_full_disk_during_deletions_is_told(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nLab('b', v=a.made)")
    sink = FullDisk(room=0)
    sink.snapshot = lab.checkpoint.snapshot
    lab.checkpoint = sink  # type: ignore[assignment]
    summary = await lab.destroy()
    assert not summary.succeeded
    assert "the disk is full" in lab.said("error")
    assert lab.calls("delete") == []


SCRIPT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from engine_harness import Lab
asyncio.run(Lab(Path({tmp!r})).up("Lab('a', hold='create')"))
"""


async def test_a_killed_engine_takes_its_program_and_plugins_along(lab: Lab, tmp_path: Path) -> None:
    script = SCRIPT.format(folder=str(Path(__file__).parent), tmp=str(tmp_path))
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    await lab.until_called("create a")
    children = psutil.Process(engine.pid).children(recursive=True)
    assert len(children) == 2
    engine.kill()
    await engine.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 10)
    assert alive == []
