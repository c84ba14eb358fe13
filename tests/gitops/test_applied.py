"""What a merge brought and nobody applied is part of the next plan, whatever that one's merge changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository_of import Repository

from heliostat.engine.config import project as projects
from heliostat.engine.state.history import Entry, told
from heliostat.gitops.affected import AffectedStack
from heliostat.gitops.applied import (
    BEGUN,
    DESTROYED,
    DRIFTED,
    FAILED,
    GOES_ON,
    IMPORTED,
    KILLED,
    NEVER,
    UNKNOWN,
    Applied,
    affected_since_applied,
    last_applied,
)
from heliostat.systems.errors import PermanentError

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40
TARGET, EXCLUDE = told("ada", targets=["urn:a"]), told("ada", excludes=["urn:a"])
DIRTY, CUT_OFF = {"git.dirty": "true"}, {"heliostat.ended": "killed"}


def done(kind: str, commit: str = ONE, result: str = "succeeded", changes: int = 0, **said: str) -> Entry:
    counts = {"same": 3, "update": changes}
    return Entry(kind, 1, 2, result, counts, environment={"git.head": commit, "git.dirty": "false", **said})


def test_the_last_update_that_did_it_says_what_a_stack_was_brought_to():
    assert last_applied([done("update", TWO), done("update", ONE)]) == Applied(TWO, since=1)
    assert last_applied([done("refresh", TWO), done("refresh", TWO, "failed"), done("update", ONE)]) == Applied(ONE, since=1)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], NEVER),
        ([done("refresh")], NEVER),
        ([done("refresh", TWO, changes=1), done("update")], DRIFTED),
        ([done("refresh", TWO, "failed", changes=1), done("update")], DRIFTED),
        ([done("refresh", TWO, "in-progress"), done("update")], BEGUN),
        ([done("refresh", TWO, "failed", **CUT_OFF), done("update")], KILLED),
        ([done("resource-import", TWO), done("update")], IMPORTED),
        ([done("resource-import", TWO, "failed"), done("update")], IMPORTED),
        ([done("destroy", TWO), done("update")], NEVER),
        ([done("destroy", TWO, **TARGET), done("update")], DESTROYED),
        ([done("destroy", TWO, **EXCLUDE), done("update")], DESTROYED),
        ([done("update", TWO, **TARGET)], NEVER),
        ([done("update", TWO, "failed", **TARGET), done("update")], FAILED),
        ([done("update", TWO, **TARGET, **DIRTY), done("update")], UNKNOWN),
        ([done("update", TWO, "in-progress"), done("update")], BEGUN),
        ([done("update", TWO, "failed", **CUT_OFF), done("update")], KILLED),
        ([done("update", TWO, "failed"), done("update")], FAILED),
        ([done("destroy", TWO, "failed"), done("update")], FAILED),
        ([done("update", TWO, **{"git.dirty": "true"}), done("update")], UNKNOWN),
        ([Entry("update", 1, 2, "succeeded", {})], UNKNOWN),
    ],
)
def test_what_is_between_two_commits_or_of_none_is_not_known(entries: list[Entry], why: str):
    assert last_applied(entries) == Applied(why_unknown=why)


@pytest.mark.parametrize("what", [TARGET, EXCLUDE], ids=["target", "exclude"])
def test_an_update_of_a_few_resources_brings_a_stack_to_nothing(what: dict[str, str]):
    entries = [done("update", THREE, **what), done("update", ONE, **what), done("update", TWO, **what), done("update", ONE)]
    assert last_applied(entries) == Applied(ONE, since=1, parts=(THREE, TWO))


def test_an_update_that_makes_resources_anew_is_one_of_all():
    assert last_applied([done("update", TWO, **told("ada"))]) == Applied(TWO, since=1)


def test_an_update_that_goes_on_is_not_applied_and_says_which_commit_is_on_its_way():
    assert last_applied([done("update", TWO, "goes-on"), done("update", ONE)]) == Applied(why_unknown=GOES_ON, going=TWO)
    changed = done("update", TWO, "goes-on", **{"git.dirty": "true"})
    assert last_applied([changed, done("update", ONE)]) == Applied(why_unknown=GOES_ON)
    partial = done("update", TWO, "goes-on", **TARGET)
    assert last_applied([partial, done("update", ONE)]) == Applied(why_unknown=GOES_ON)
    assert last_applied([done("update", TWO), done("update", TWO, "goes-on")]) == Applied(TWO, since=1)


def test_no_more_of_a_long_history_is_read_than_it_takes():
    def history() -> Iterator[Entry]:
        yield done("update")
        raise AssertionError("it was read on")

    assert last_applied(history()) == Applied(ONE, since=1)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def since(repository: Repository, **applied: Applied) -> list[AffectedStack]:
    return affected_since_applied(projects.load(repository.root / "Pulumi.yaml"), os.environ, applied)


def head(repository: Repository) -> str:
    return repository.git("rev-parse", "HEAD").strip()


def test_each_stack_is_compared_with_what_was_applied_to_it(repository: Repository):
    first = head(repository)
    repository.replace("workloads/bees/train.py", "return FEATURES", "return FEATURES + 1")
    repository.commit()
    second = head(repository)
    repository.write("README.md", "Another text.\n")
    repository.commit()
    passed_over = [AffectedStack("prod", (), {"bees": ("training",)})]
    assert since(repository, prod=Applied(first), staging=Applied(second)) == passed_over
    assert since(repository, prod=Applied(second), staging=Applied(head(repository))) == []


def test_what_a_target_left_out_is_affected_and_what_it_did_where_that_is_taken_back(repository: Repository):
    first = head(repository)
    repository.replace("workloads/bees/train.py", "return FEATURES", "return FEATURES + 1")
    repository.replace("workloads/checks.py", "True", "False")
    repository.commit()
    second = head(repository)
    partly = Applied(first, parts=(second,))
    both = [AffectedStack("prod", (), {"bees": ("training",), "wasps": ("workloads.checks:fair",)})]
    assert since(repository, prod=partly) == both
    repository.replace("workloads/bees/train.py", "return FEATURES + 1", "return FEATURES")
    repository.replace("workloads/checks.py", "False", "True")
    assert since(repository, prod=Applied(first)) == [], "as if nothing had been done"
    assert since(repository, prod=partly) == both
    assert since(repository, prod=Applied(first, parts=("f" * 40,))) == [
        AffectedStack("prod", ("no history has the commit before",))
    ]


def test_all_of_a_stack_is_affected_where_nobody_knows_what_was_applied(repository: Repository, tmp_path: Path):
    found = since(repository, prod=Applied(why_unknown=NEVER), staging=Applied("f" * 40), platform=Applied(head(repository)))
    assert found == [AffectedStack("prod", (NEVER,)), AffectedStack("staging", ("no history has the commit before",))]
    first = head(repository)
    repository.write("README.md", "Another text.\n")
    repository.commit()
    repository.git("clone", "-q", "--depth", "1", repository.root.as_uri(), str(tmp_path / "shallow"))
    with pytest.raises(PermanentError, match="fetch the whole history"):
        affected_since_applied(projects.load(tmp_path / "shallow/Pulumi.yaml"), os.environ, {"prod": Applied(first)})
