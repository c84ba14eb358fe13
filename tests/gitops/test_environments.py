"""Environments come up, are used and go, also where each step is cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from environments_world import DAY, EnvironmentsWorld

from heliostat.engine.stackerrors import LockedError
from heliostat.gitops.commands import CommandFailedError
from heliostat.gitops.environments import ProtectedError
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.spec.branch_environments import environment_name, name_in
from heliostat.systems.errors import PermanentError

BRANCH = "feature/x"
NAME = environment_name(BRANCH)


@pytest.fixture
def world(tmp_path: Path) -> EnvironmentsWorld:
    return EnvironmentsWorld(tmp_path)


def test_an_environment_is_a_stack_of_its_own_with_the_template_s_config(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "c0ffee", ["--detach"])
    assert world.stacks() == {NAME}
    assert world.commands.ups == [(NAME, ("--detach",))]
    config = world.commands.up_with[NAME]
    assert f"name: {NAME}" in config and f"branch: {BRANCH}" in config
    assert "# one is enough" in config, "it is the template's text"
    assert (record.platform, record.commit) == ("organization/demo/platform", "c0ffee")
    assert record.workloads == ("demand", "flights")
    assert record.expires == world.now + 3 * DAY


def test_a_push_to_the_branch_updates_the_same_environment_and_is_a_use(world: EnvironmentsWorld):
    first = world.environments.up(BRANCH, "one", [])
    world.now += DAY
    world.template.write_text(world.template.read_text().replace("replicas: 1", "replicas: 2"))
    second = world.environments.up(BRANCH, "two", [])
    assert (second.name, second.made, second.used, second.commit) == (first.name, first.made, world.now, "two")
    assert "replicas: 2" in world.commands.up_with[NAME], "the template changed"
    assert world.stacks() == {NAME}


def test_what_an_environment_once_had_goes_with_it_and_what_others_may_use_stays(world: EnvironmentsWorld):
    world.environments.up(BRANCH, "", [])
    world.template.write_text(
        world.template.read_text().replace("    demand: {batch: {nightly: {source: {kind: snapshot}}}}\n", "")
    )
    record = world.environments.up(BRANCH, "", [])
    own = [
        world.put(f"predictions/{name_in(NAME, 'flights')}/date=2026-01-01/a.parquet"),
        world.put(f"ledger/{name_in(NAME, 'demand')}/0000000001.json"),
        world.put(f"monitors/{name_in(NAME, 'flights')}/acceptances/a-run.json"),
        world.put(f"ground-truth/{name_in(NAME, 'flights')}/a.jsonl"),
        world.put(f"reviews/{name_in(NAME, 'flights')}/items/a.jsonl"),
        world.put(f"batches/{name_in(NAME, 'demand-nightly')}/results/r/manifest.json"),
        world.put(f"schedules/{name_in(NAME, 'demand-nightly')}.json"),
    ]
    others = [world.put("predictions/flights/date=2026-01-01/a.parquet"), world.put("datasets/flights/d/manifest.json")]
    world.environments.down(record)
    assert not any(path.exists() for path in own)
    assert all(path.exists() for path in others)
    assert world.stacks() == set() and world.environments.records.all() == []
    assert not list((world.root / ".heliostat").rglob("*.yaml"))
    assert not [path for path in world.root.parent.rglob("*") if NAME in path.name], "not even a folder"


def test_two_branches_are_beside_each_other_and_one_goes_alone(world: EnvironmentsWorld):
    first, second = (world.environments.up(branch, "", []) for branch in (BRANCH, "feature-x"))
    assert first.name != second.name
    world.environments.down(first)
    assert world.stacks() == {second.name}
    assert world.commands.up_with.keys() == {second.name}


def test_a_down_that_was_cut_off_is_finished_by_the_next_sweep(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "", [])
    world.commands.fails = 1
    with pytest.raises(CommandFailedError):
        world.environments.down(record)
    assert world.stacks() == {NAME}
    (swept,) = world.environments.sweep({BRANCH}, only_tell=False)
    assert (swept.name, swept.why, swept.failure) == (NAME, "it was being taken down before", "")
    assert world.stacks() == set() and not world.commands.up_with


def test_an_environment_that_was_being_taken_down_goes_whole_before_it_comes_up_again(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "", [])
    left = world.put(f"predictions/{name_in(NAME, 'flights')}/date=2026-01-01/a.parquet")
    world.commands.fails = 1
    with pytest.raises(CommandFailedError):
        world.environments.down(record)
    world.now += DAY
    again = world.environments.up(BRANCH, "", [])
    assert not again.leaving and again.made == world.now
    assert not left.exists()
    assert world.environments.sweep({BRANCH}, only_tell=False) == []


def test_an_update_that_failed_leaves_what_a_sweep_finds(world: EnvironmentsWorld):
    world.commands.fails = 1
    with pytest.raises(CommandFailedError):
        world.environments.up(BRANCH, "", [])
    assert [swept.why for swept in world.environments.sweep(set(), only_tell=False)] == ["its branch feature/x is gone"]
    assert world.stacks() == set()


def test_why_an_environment_did_not_come_up_is_known_until_it_does(world: EnvironmentsWorld):
    world.commands.fails = 1
    with pytest.raises(CommandFailedError):
        world.environments.up(BRANCH, "", [])
    (record,) = world.environments.records.all()
    assert record.failure == "`heliostat destroy` ended with 1"
    assert world.environments.up(BRANCH, "", []).failure == ""
    assert [each.failure for each in world.environments.records.all()] == [""]


def test_of_two_jobs_for_one_branch_the_second_goes_on_when_the_first_has_ended(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "", [])
    lock = f".pulumi/locks/organization/demo/{NAME}/first.json"
    for second in (lambda it: it.up(BRANCH, "two", []), lambda it: it.down(record)):
        world.backend.bucket.write(lock, b'{"pid": 7, "username": "ci", "hostname": "elsewhere", "timestamp": "today"}')
        world.said.clear()
        ups = len(world.commands.ups)
        slept: list[float] = []

        def sleep(seconds: float, slept: list[float] = slept, ups: int = ups) -> None:
            slept.append(seconds)
            assert len(world.commands.ups) == ups, "it waits"
            if len(slept) == 3:
                world.backend.bucket.delete(lock)

        second(replace(world.environments, sleep=sleep))
        assert len(slept) == 3
        assert [each for each in world.said if "waiting" in each] == [
            f"{NAME} is held by ci@elsewhere (pid 7) since today: waiting, for 600 s at most"
        ]


def test_whoever_waits_for_a_job_that_does_not_end_goes_on_and_is_refused_as_ever(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "", [])
    lock = f".pulumi/locks/organization/demo/{NAME}/first.json"
    world.backend.bucket.write(lock, b'{"pid": 7, "username": "ci", "hostname": "elsewhere", "timestamp": "today"}')
    slept: list[float] = []
    with pytest.raises(LockedError, match="ci@elsewhere"):
        replace(world.environments, sleep=slept.append).down(record)
    assert sum(slept) == 600


def test_a_sweep_takes_what_nobody_used_and_nothing_else(world: EnvironmentsWorld):
    for branch in ("old", "asked", "pushed"):
        world.environments.up(branch, "", [])
    world.now += 2 * DAY
    world.counts = {name_in(environment_name("asked"), "flights"): 7.0}
    world.environments.up("pushed", "", [])
    assert world.environments.sweep(None, only_tell=False) == []
    world.now += 2 * DAY
    assert [swept.branch for swept in world.environments.sweep(None, only_tell=True)] == ["old"]
    assert len(world.stacks()) == 3, "it was only told"
    assert [swept.branch for swept in world.environments.sweep(None, only_tell=False)] == ["old"]
    world.now += 1.5 * DAY
    assert sorted(swept.branch for swept in world.environments.sweep(None, only_tell=False)) == ["asked", "pushed"]


def test_what_is_extended_stays(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "", [])
    world.environments.extend(record, 30 * DAY)
    world.now += 29 * DAY
    assert world.environments.sweep({BRANCH}, only_tell=False) == []
    world.now += 2 * DAY
    assert len(world.environments.sweep({BRANCH}, only_tell=False)) == 1


def test_nothing_expires_while_nobody_can_tell_what_was_asked(world: EnvironmentsWorld):
    world.environments.up(BRANCH, "", [])
    world.now += 10 * DAY
    world.counts = None
    assert world.environments.sweep({BRANCH}, only_tell=False) == []
    assert any("nobody knows" in line for line in world.said)
    assert len(world.environments.sweep(set(), only_tell=False)) == 1, "but a branch that is gone is gone"


def test_one_that_cannot_go_holds_up_no_other(world: EnvironmentsWorld):
    for branch in ("a", "b"):
        world.environments.up(branch, "", [])
    world.commands.fails = 1
    swept = world.environments.sweep(set(), only_tell=False)
    assert [bool(each.failure) for each in swept] == [True, False]
    assert len(world.stacks()) == 1
    assert len(world.environments.sweep(set(), only_tell=False)) == 1
    assert world.stacks() == set()


def test_what_is_protected_is_never_taken_down(world: EnvironmentsWorld):
    record = world.environments.up("release/1", "", [])
    world.settings = EnvironmentSettings(protected=("release/*",))
    world.now += 100 * DAY
    assert world.environments.sweep(set(), only_tell=False) == []
    with pytest.raises(ProtectedError, match=r"environments\.protected"):
        world.environments.down(record)
    assert world.stacks() == {record.name}


def test_a_platform_that_is_gone_holds_nothing_up(world: EnvironmentsWorld):
    record = world.environments.up(BRANCH, "", [])
    world.export("platform", {})
    world.environments.down(record)
    assert world.stacks() == set()


def test_a_stack_that_is_no_environment_is_left_alone(world: EnvironmentsWorld):
    world.export(NAME, {"mine": 1})
    with pytest.raises(PermanentError, match="no environment"):
        world.environments.up(BRANCH, "", [])
    assert world.environments.records.all() == [], "or a sweep would take it"
    assert world.commands.ups == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("config:\n  heliostat:platform: {kind: local}\n", ["platformStack:", "platform: an environment", "workloads:"]),
        ("config:\n  heliostat:platformStack: local\n  heliostat:workloads: {a: {}}\n", ["platformStack:"]),
        ("a: [", ["is no YAML"]),
    ],
)
def test_all_that_is_wrong_with_a_template_is_told_before_anything_is_made(
    world: EnvironmentsWorld, text: str, told: list[str]
):
    world.template.write_text(text)
    with pytest.raises(PermanentError) as caught:
        world.environments.up(BRANCH, "", [])
    assert all(each in str(caught.value) for each in told)
    assert world.stacks() == set() and world.environments.records.all() == []


def test_without_a_template_it_says_where_one_belongs(world: EnvironmentsWorld):
    world.template.unlink()
    with pytest.raises(PermanentError, match=r"Pulumi\.preview\.yaml.*environments\.template"):
        world.environments.up(BRANCH, "", [])


def test_a_record_that_was_changed_by_hand_is_told(world: EnvironmentsWorld):
    world.environments.up(BRANCH, "", [])
    world.backend.bucket.write(f".heliostat/environments/demo/{NAME}.json", b"{}")
    with pytest.raises(PermanentError, match="no record of an environment"):
        world.environments.find(BRANCH)
    with pytest.raises(PermanentError, match="no record of an environment"):
        world.environments.find(NAME)


@pytest.mark.parametrize("only_tell", [True, False])
def test_a_record_that_is_damaged_holds_up_no_other(world: EnvironmentsWorld, only_tell: bool):
    other = world.environments.up("another", "", [])
    world.environments.up(BRANCH, "", [])
    world.backend.bucket.write(f".heliostat/environments/demo/{NAME}.json", b"")
    assert [each.name for each in world.environments.records.all()] == [other.name]
    assert world.environments.find("another") == other == world.environments.find(other.name)
    damaged, swept = world.environments.sweep(set(), only_tell=only_tell)
    assert (damaged.name, damaged.branch) == (NAME, "") and "no record of an environment" in damaged.failure
    assert (swept.name, swept.failure) == (other.name, "")
    assert world.stacks() == ({NAME, other.name} if only_tell else {NAME}), "what nobody knows the platform of stays"
