"""What a merge brought and nobody applied is part of the next plan, whatever that one's merge changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository_of import Repository

from heliostat.engine.config import project as projects
from heliostat.engine.state.history import Entry
from heliostat.gitops.affected import AffectedStack
from heliostat.gitops.applied import FAILED, NEVER, UNKNOWN, Applied, affected_since_applied, last_applied
from heliostat.systems.errors import PermanentError

ONE, TWO = "1" * 40, "2" * 40


def done(kind: str, commit: str = ONE, result: str = "succeeded", **said: str) -> Entry:
    return Entry(kind, 1, 2, result, {}, environment={"git.head": commit, "git.dirty": "false", **said})


def test_the_last_update_that_did_it_says_what_a_stack_was_brought_to():
    assert last_applied([done("update", TWO), done("update", ONE)]) == Applied(TWO, since=1)
    assert last_applied([done("refresh", TWO), done("refresh", TWO, "failed"), done("update", ONE)]) == Applied(ONE, since=1)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], NEVER),
        ([done("refresh")], NEVER),
        ([done("destroy", TWO), done("update")], NEVER),
        ([done("update", TWO, "failed"), done("update")], FAILED),
        ([done("destroy", TWO, "failed"), done("update")], FAILED),
        ([done("update", TWO, **{"git.dirty": "true"}), done("update")], UNKNOWN),
        ([Entry("update", 1, 2, "succeeded", {})], UNKNOWN),
    ],
)
def test_what_is_between_two_commits_or_of_none_is_not_known(entries: list[Entry], why: str):
    assert last_applied(entries) == Applied(why_unknown=why)


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


def test_all_of_a_stack_is_affected_where_nobody_knows_what_was_applied(repository: Repository, tmp_path: Path):
    found = since(repository, prod=Applied(why_unknown=NEVER), staging=Applied("f" * 40), platform=Applied(head(repository)))
    assert found == [AffectedStack("prod", (NEVER,)), AffectedStack("staging", ("no history has the commit before",))]
    first = head(repository)
    repository.write("README.md", "Another text.\n")
    repository.commit()
    repository.git("clone", "-q", "--depth", "1", repository.root.as_uri(), str(tmp_path / "shallow"))
    with pytest.raises(PermanentError, match="fetch the whole history"):
        affected_since_applied(projects.load(tmp_path / "shallow/Pulumi.yaml"), os.environ, {"prod": Applied(first)})
