"""What an earlier merge changed, and a later one's update rolled out, is told on the earlier one's pull request, too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from played_forges import PlayedForge
from repository_of import Repository

from heliostat.engine.config import project as projects
from heliostat.engine.state.history import Entry, told
from heliostat.gitops import brought
from heliostat.gitops.brought import Merges, applied_before
from heliostat.gitops.outcome_comments import tell
from heliostat.gitops.rollout_outcomes import RolloutOutcome

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40


def update(commit: str, result: str = "succeeded", kind: str = "update", **said: str) -> Entry:
    return Entry(kind, 1, 2, result, {}, environment={"git.head": commit, "git.dirty": "false", **said})


@pytest.mark.parametrize(
    ("entries", "before"),
    [
        ([], ""),
        ([update(TWO)], ""),
        ([update(TWO), update(ONE)], ONE),
        ([update(THREE), update(TWO), update(TWO), update(ONE)], ONE),
        ([update(TWO), update(THREE, "failed"), update(ONE)], ONE),
        ([update(TWO), update(THREE, **told("ada", ["urn:a"])), update(ONE)], ONE),
        ([update(TWO), update(THREE, kind="refresh"), update(ONE)], ONE),
        ([update(TWO), update(THREE, kind="destroy"), update(ONE)], ""),
        ([update(TWO), update(THREE, **{"git.dirty": "true"}), update(ONE)], ONE),
        ([update(ONE), update(THREE)], ""),
    ],
)
def test_what_a_stack_had_before_a_commit_is_its_last_whole_update_of_another(entries: list[Entry], before: str):
    assert applied_before(entries, TWO) == before


class Base:
    """A base whose merges are pull requests 1, 2, ... of a forge."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "repository")
        self.played = PlayedForge("github")
        self.commits = [self.head]
        self.said: list[str] = []

    @property
    def head(self) -> str:
        return self.repository.git("rev-parse", "HEAD").strip()

    def merge(self, file: str, old: str, new: str) -> int:
        """Merge a branch of two commits; the number of its pull request."""
        number = len(self.commits)
        self.repository.git("checkout", "-q", "-b", f"feature-{number}")
        self.repository.replace(file, old, new)
        self.repository.commit()
        self.repository.write(f"docs/{number}.md", "New.\n")
        self.repository.commit()
        self.repository.git("checkout", "-q", "main")
        self.repository.git("merge", "-q", "--no-ff", "-m", f"Merge {number}", f"feature-{number}")
        self.played.repository.pull(f"feature-{number}", number=number)
        self.played.repository.merge(number, self.head)
        self.commits.append(self.head)
        return number

    def told_on(self, stack: str, application: str, history: Sequence[Entry], commit: str = "", after: str = "") -> list[int]:
        """The pull requests on which a rollout is told that the last commit declared."""
        outcome = RolloutOutcome(stack, application, 4, commit or self.head, "1 → 2", "recreate", "through", after)
        project = projects.load(self.repository.root / "Pulumi.yaml")
        merges = Merges(project, os.environ, lambda _: history, self.said.append)
        return [each.number for each in tell(self.played.forge, [outcome, outcome], {}, merges.of)]


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(tmp_path)


def test_a_rollout_is_told_on_each_merge_since_what_was_applied_before_that_touches_it(base: Base):
    base.merge("workloads/bees/train.py", "return FEATURES", "return 2 * FEATURES")
    code = base.merge("workloads/bees/train.py", "return 2 * FEATURES", "return 3 * FEATURES")
    config = base.merge("configs/Pulumi.prod.yaml", "replicas: 2", "replicas: 3")
    check = base.merge("workloads/checks.py", "True", "False")
    document = base.merge("README.md", "A repository.", "Bees.")
    history = [update(base.head), update(base.commits[1])]
    assert base.told_on("prod", "bees", history) == [code, config]
    assert base.told_on("prod", "wasps", history) == [check]
    assert base.told_on("staging", "bees", history) == [code]
    assert base.told_on("staging", "flies", history) == [document], "what nothing touches is of what was applied"
    assert base.told_on("staging", "bees", [update(base.head)]) == [document], "nobody knows what was there before"
    assert base.told_on("staging", "bees", [update(base.head), update(base.commits[-2])]) == [document]
    assert base.said == []


def test_what_a_rollout_brought_whose_update_failed_then_is_not_told_again(base: Base):
    base.merge("workloads/bees/train.py", "return FEATURES", "return 2 * FEATURES")
    later = base.merge("workloads/bees/train.py", "return 2", "return 3")
    base.merge("README.md", "A repository.", "Bees.")
    history = [update(base.head), update(base.commits[1], "failed"), update(base.commits[0])]
    assert base.told_on("prod", "bees", history, after=base.commits[1]) == [later]
    assert base.told_on("prod", "bees", history, after="f" * 40) == [1, later], "its rollout before is of a lost commit"


def test_the_program_touches_every_application(base: Base):
    program = base.merge("infra/__main__.py", "program.run()", "program.run()\nprint(1)")
    document = base.merge("README.md", "A repository.", "Bees.")
    assert document and base.told_on("prod", "bees", [update(base.head), update(base.commits[0])]) == [program]


def test_of_very_many_merges_the_last_ones_are_looked_at(base: Base, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(brought, "MOST", 2)
    for number in range(4):
        base.merge("workloads/bees/train.py", f"return {'1 + ' * number}FEATURES", f"return {'1 + ' * (number + 1)}FEATURES")
    assert base.told_on("prod", "bees", [update(base.head), update(base.commits[0])]) == [3, 4]


def test_a_commit_that_is_not_fetched_is_told_and_holds_up_nothing(base: Base):
    last = base.merge("README.md", "A repository.", "Bees.")
    assert base.told_on("prod", "bees", [update(base.head), update("f" * 40)]) == [last]
    (warning,) = base.said
    assert "fetch the whole history" in warning


def test_after_a_push_by_force_a_merge_is_compared_with_its_own_line(base: Base):
    base.merge("workloads/bees/train.py", "return FEATURES", "return 2 * FEATURES")
    base.repository.git("reset", "-q", "--hard", base.commits[0])
    document = base.merge("README.md", "A repository.", "Bees.")
    check = base.merge("workloads/checks.py", "True", "False")
    history = [update(base.head), update(base.commits[1])]
    assert base.told_on("prod", "wasps", history) == [check] and document
    assert base.told_on("prod", "bees", history) == [check], "no merge of this line touches them"


def test_what_went_back_to_an_earlier_commit_is_told_on_that_one(base: Base):
    first = base.merge("workloads/bees/train.py", "return FEATURES", "return 2 * FEATURES")
    base.merge("workloads/bees/train.py", "return 2", "return 3")
    history = [update(base.commits[1]), update(base.commits[2])]
    assert base.told_on("prod", "bees", history, base.commits[1]) == [first]
