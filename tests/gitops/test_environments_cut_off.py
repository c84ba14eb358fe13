"""A `down` or an `up` that is killed before any of its writes, and a template that changed: the next command does the rest."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from environments_world import DAY, EnvironmentsWorld

from heliostat.engine.state.bucket import FileBucket
from heliostat.spec.branch_environments import environment_name, name_in
from heliostat.systems.objects import Directory

BRANCH = "feature/x"
NAME = environment_name(BRANCH)
WRITES = ((FileBucket, "write"), (FileBucket, "delete"), (Directory, "delete"), (Path, "unlink"))


@contextmanager
def before_each_write(do: Callable[[], None]) -> Iterator[None]:
    """Call `do` before anything is written or removed, in the state, in the store or in the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            original = getattr(owner, name)

            def wrapped(*arguments: Any, original: Any = original, **options: Any) -> Any:
                do()
                return original(*arguments, **options)

            patch.setattr(owner, name, wrapped)
        yield


def count_writes(work: Callable[[], Any]) -> int:
    count = 0

    def add() -> None:
        nonlocal count
        count += 1

    with before_each_write(add):
        work()
    return count


def killed_before(number: int, work: Callable[[], Any]) -> None:
    """Do the work in a process that is killed before its write of that number, from 0 on."""
    child = os.fork()
    if not child:
        left = number

        def die() -> None:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        try:
            with before_each_write(die):
                work()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was killed"


def filled(folder: Path) -> EnvironmentsWorld:
    """A world with an environment that has objects of its own, beside those of another one and of the platform."""
    world = EnvironmentsWorld(folder)
    world.environments.up("other", "", [])
    world.put(f"predictions/{name_in(environment_name('other'), 'flights')}/a.parquet")
    world.put("datasets/flights/d/manifest.json")
    world.environments.up(BRANCH, "", [])
    for number in range(2):
        world.put(f"predictions/{name_in(NAME, 'flights')}/{number}.parquet")
    world.put(f"ledger/{name_in(NAME, 'flights')}/0000000001.json")
    return world


def files(world: EnvironmentsWorld) -> set[str]:
    found = {str(path.relative_to(world.root.parent)) for path in world.root.parent.rglob("*") if path.is_file()}
    return {path for path in found if not path.endswith(".lock")}


def test_a_down_that_is_killed_anywhere_is_finished_by_a_sweep(tmp_path: Path):
    whole = filled(tmp_path / "whole")
    record = whole.environments.find(BRANCH)
    assert record is not None
    count = count_writes(lambda: whole.environments.down(record))
    left = files(whole)
    assert count > 8 and not any(NAME in path for path in left)
    for number in range(count):
        world = filled(tmp_path / f"killed-{number}")
        killed_before(number, partial(world.environments.down, record))
        begun = world.environments.find(BRANCH)
        assert begun is not None, "as long as anything is left, it is known"
        assert begun.leaving is (number > 0)
        if number:
            (swept,) = world.environments.sweep({"other"} if number % 2 else {"other", BRANCH}, only_tell=False)
            assert (swept.name, swept.failure) == (NAME, "")
        else:
            world.environments.down(record)
        assert files(world) == left, f"killed before write {number}"
        assert world.environments.sweep({"other"}, only_tell=False) == []


def test_an_up_that_is_killed_anywhere_is_found_by_a_sweep_and_finished_by_the_next_up(tmp_path: Path):
    def fresh(name: str) -> EnvironmentsWorld:
        return EnvironmentsWorld(tmp_path / name)

    count = count_writes(partial(fresh("whole").environments.up, BRANCH, "", []))
    for number in range(1, count):
        world = fresh(f"again-{number}")
        killed_before(number, partial(world.environments.up, BRANCH, "", []))
        world.environments.up(BRANCH, "", [])
        assert world.stacks() == {NAME} == set(world.commands.up_with)
        swept = fresh(f"swept-{number}")
        before = files(swept)
        killed_before(number, partial(swept.environments.up, BRANCH, "", []))
        assert len(swept.environments.sweep(set(), only_tell=False)) == 1
        assert swept.stacks() == set() and not any(NAME in path for path in files(swept) - before)


def test_a_lock_that_a_job_left_on_another_machine_holds_a_sweep_up_for_a_day_at_most(tmp_path: Path):
    world = EnvironmentsWorld(tmp_path)
    world.now = time.time()
    world.environments.up(BRANCH, "", [])
    taken = datetime.now().astimezone() - timedelta(hours=1)
    lock = {"pid": 1, "username": "runner", "hostname": "fv-az1", "timestamp": taken.isoformat()}
    world.backend.bucket.write(f".pulumi/locks/organization/demo/{NAME}/x.json", json.dumps(lock).encode())
    (held,) = world.environments.sweep(set(), only_tell=False)
    assert "runner@fv-az1" in held.failure
    world.now += 86_400
    (swept,) = world.environments.sweep(set(), only_tell=False)
    assert swept.failure == "" and world.stacks() == set()
    assert any("runner@fv-az1" in line for line in world.said)


def test_a_template_that_names_another_platform_has_what_is_on_the_first_go_before(tmp_path: Path):
    world = EnvironmentsWorld(tmp_path)
    world.environments.up(BRANCH, "", [])
    left = world.put(f"predictions/{name_in(NAME, 'flights')}/a.parquet")
    second = {"store": {"uri": (tmp_path / "second").as_uri()}}
    world.export("second", {"platform": second})
    world.template.write_text(world.template.read_text().replace("organization/demo/platform", "organization/demo/second"))
    world.now += DAY
    moved = world.environments.up(BRANCH, "", [])
    assert moved.platform == "organization/demo/second" and moved.made == world.now
    assert not left.exists(), "nobody would have looked there any more"
    assert any("organization/demo/platform" in line and "organization/demo/second" in line for line in world.said)
    assert world.stacks() - {"second"} == {NAME}


def test_a_branch_that_was_deleted_and_made_again_before_a_sweep_keeps_its_environment(tmp_path: Path):
    world = EnvironmentsWorld(tmp_path)
    first = world.environments.up(BRANCH, "one", [])
    world.now += DAY
    again = world.environments.up(BRANCH, "two", [])
    assert (again.made, again.commit) == (first.made, "two")
    assert world.environments.sweep({BRANCH}, only_tell=False) == []


def test_what_a_template_no_longer_has_goes_with_the_environment_all_the_same(tmp_path: Path):
    world = EnvironmentsWorld(tmp_path)
    world.environments.up(BRANCH, "", [])
    left = world.put(f"batches/{name_in(NAME, 'demand-nightly')}/results/r/manifest.json")
    world.template.unlink()
    record = world.environments.find(BRANCH)
    assert record is not None
    world.environments.down(record)
    assert not left.exists() and world.stacks() == set()
