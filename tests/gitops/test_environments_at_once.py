"""What others do while a sweep, a `down` or an `up` is on its way counts: nobody works on what he read before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from environments_world import DAY, EnvironmentsWorld

from heliostat.engine.stackerrors import LockedError
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.branch_environments import environment_name, name_in
from heliostat.systems.errors import PermanentError, RetryableError

BRANCH, OTHER = "feature/x", "other"
NAME = environment_name(BRANCH)


@pytest.fixture
def world(tmp_path: Path) -> EnvironmentsWorld:
    return EnvironmentsWorld(tmp_path)


def while_counting(world: EnvironmentsWorld, do: Callable[[], object], counts: Mapping[str, float] | None = None) -> None:
    """Have somebody do something while a sweep asks controllers, which takes seconds where one does not answer."""

    def count(address: ControllerAddress) -> Mapping[str, float]:
        do()
        return counts or {}

    world.count = count  # type: ignore[method-assign]


def while_destroying(world: EnvironmentsWorld, do: Callable[[], object]) -> None:
    """Have somebody do something once, as soon as the next stack's resources are gone."""
    destroy = world.commands.destroy

    def destroyed(stack: str, config: Path) -> None:
        destroy(stack, config)
        world.commands.destroy = destroy  # type: ignore[method-assign]
        do()

    world.commands.destroy = destroyed  # type: ignore[method-assign]


def extend(world: EnvironmentsWorld, branch: str) -> None:
    found = world.environments.find(branch)
    assert found is not None
    world.environments.extend(found, 7 * DAY)


def test_what_is_extended_while_a_sweep_asks_who_was_used_stays(world: EnvironmentsWorld):
    world.environments.up(BRANCH, "one", [])
    world.now += 4 * DAY
    while_counting(world, lambda: extend(world, BRANCH))
    assert world.environments.sweep({BRANCH}, only_tell=False) == []
    kept = world.environments.find(BRANCH)
    assert kept is not None and kept.kept_until == world.now + 7 * DAY


def test_what_is_pushed_while_a_sweep_takes_others_down_stays_as_it_was_pushed(world: EnvironmentsWorld):
    for branch in (BRANCH, OTHER):
        world.environments.up(branch, "one", [])
    world.now += 4 * DAY
    first, last = sorted((BRANCH, OTHER), key=environment_name)
    while_destroying(world, lambda: world.environments.up(last, "two", []))
    (swept,) = world.environments.sweep({BRANCH, OTHER}, only_tell=False)
    kept = world.environments.find(last)
    assert swept.branch == first and kept is not None
    assert (kept.commit, kept.leaving) == ("two", False)


def test_what_goes_while_a_sweep_asks_is_not_remembered_again(world: EnvironmentsWorld):
    world.environments.up(BRANCH, "one", [])
    record = world.environments.find(BRANCH)
    assert record is not None
    while_counting(world, lambda: world.environments.down(record), {record.applications[0]: 1.0})
    assert world.environments.sweep({BRANCH}, only_tell=False) == []
    assert world.environments.records.all() == [] and world.stacks() == set()


def test_a_branch_that_came_after_the_remote_was_asked_is_not_thought_to_be_gone(world: EnvironmentsWorld):
    asked = world.now
    world.now += 1
    world.environments.up(BRANCH, "one", [])
    assert world.environments.sweep(set(), only_tell=False, listed_at=asked) == []
    world.now += 1
    assert len(world.environments.sweep(set(), only_tell=False, listed_at=world.now)) == 1


def test_requests_keep_no_environment_whose_branch_is_gone(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "one", [])
    world.now += 2
    world.counts = {record.applications[0]: 7.0}
    [swept] = world.environments.sweep(set(), only_tell=False, listed_at=world.now - 1)
    assert (swept.branch, swept.failure) == (BRANCH, "") and world.stacks() == set()


def test_an_environment_that_is_made_anew_while_the_first_one_goes_is_not_forgotten(world: EnvironmentsWorld):
    """As where a branch is made again: the push's job finishes the `down` that it finds, and has its own environment then."""
    first = world.environments.up(BRANCH, "one", [])
    world.now += DAY
    while_destroying(world, lambda: world.environments.up(BRANCH, "two", []))
    world.environments.down(first)
    kept = world.environments.find(BRANCH)
    assert kept is not None and (kept.commit, kept.made, kept.leaving) == ("two", world.now, False)
    assert world.stacks() == {NAME}
    assert any("made anew meanwhile" in line for line in world.said)


def test_an_environment_that_begins_to_go_while_it_comes_up_is_told_and_comes_up_the_next_time(world: EnvironmentsWorld):
    world.environments.up(BRANCH, "one", [])
    read, leaving = world.template.read_text(), []

    def left() -> None:
        found = world.environments.find(BRANCH)
        assert found is not None
        world.environments.records.write(found.model_copy(update={"leaving": True}))
        leaving.append(found)

    environments = world.environments
    templated = type(environments)._templated
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(environments), "_templated", lambda self, of: (left(), templated(self, of))[1])
        with pytest.raises(RetryableError, match="is being taken down"):
            environments.up(BRANCH, "two", [])
    assert leaving and world.template.read_text() == read
    assert world.environments.up(BRANCH, "two", []).commit == "two"


def test_what_is_extended_by_whoever_read_it_before_a_push_stays_as_it_was_pushed(world: EnvironmentsWorld):
    """As by a comment: a controller is asked in between who wrote it."""
    read = world.environments.up(BRANCH, "one", [])
    world.environments.up(BRANCH, "two", [])
    extended = world.environments.extend(read, 7 * DAY)
    assert (extended.commit, extended.kept_until) == ("two", world.now + 7 * DAY)
    assert world.environments.find(BRANCH) == extended
    world.environments.down(read)
    with pytest.raises(PermanentError, match="is gone"):
        world.environments.extend(read, 7 * DAY)
    assert world.environments.records.all() == []


def test_what_an_up_brought_while_a_down_waited_for_it_goes_with_it(world: EnvironmentsWorld):
    whole = world.template.read_text()
    world.template.write_text(whole.replace("    demand: {batch: {nightly: {source: {kind: snapshot}}}}\n", ""))
    read = world.environments.up(BRANCH, "one", [])
    world.template.write_text(whole)
    world.environments.up(BRANCH, "two", [])
    left = world.put(f"ledger/{name_in(NAME, 'demand')}/0000000001.json")
    world.environments.down(read)
    assert not left.exists()
    world.environments.down(read)
    assert world.environments.records.all() == [], "it is gone already"


def test_what_is_left_is_removed_by_whoever_holds_the_stack(world: EnvironmentsWorld):
    """Otherwise an `up` in between would lose what it has just made."""
    from heliostat.engine.state import locks

    record = world.environments.up(BRANCH, "one", [])
    kept = world.put(f"ledger/{record.applications[0]}/0000000001.json")
    stack = f"organization/demo/{NAME}"

    def taken() -> None:
        held.__enter__()

    held = locks.locked(world.backend.bucket, stack, world.said.append)
    while_destroying(world, taken)
    with pytest.raises(LockedError):
        world.environments.down(record)
    assert kept.exists()
    held.__exit__(None, None, None)
    world.environments.down(record)
    assert not kept.exists() and world.environments.records.all() == []
