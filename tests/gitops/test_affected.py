"""What a change affects is what an update would do, and no more."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from repository_of import Repository

from heliostat.engine.config import project as projects
from heliostat.gitops import declared
from heliostat.gitops.affected import AffectedStack, first_part
from heliostat.gitops.declarations import Asked
from heliostat.gitops.trees import affected_since
from heliostat.systems.errors import PermanentError

PLATFORM = "configs/Pulumi.platform.yaml"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.git("checkout", "-q", "-b", "feature")
    return made


def affected_by(repository: Repository, base: str = "main") -> list[AffectedStack]:
    return affected_since(projects.load(repository.root / "Pulumi.yaml"), os.environ, base)


def test_comments_documents_and_files_that_nothing_needs_affect_nothing(repository: Repository):
    repository.write("README.md", "Another text.\n")
    repository.write("docs/page.md", "New.\n")
    repository.write("workloads/bees/notes.py", "X = 1\n")
    repository.replace("workloads/bees/train.py", "    return", "    # as ever\n    return")
    repository.replace("infra/__main__.py", "from heliostat", "# It is short.\nfrom heliostat")
    repository.replace(PLATFORM, "config:", "# Everything here.\nconfig:")
    assert affected_by(repository) == []
    repository.commit()
    assert affected_by(repository) == []


def test_each_change_affects_the_stacks_that_have_it_and_the_parts_that_are_made_of_it(repository: Repository):
    """Several at once, for each look starts a process that imports what the workloads do."""
    repository.replace("workloads/bees/train.py", "return FEATURES", "return FEATURES + 1")
    repository.replace("workloads/checks.py", "True", "False")
    repository.replace("configs/Pulumi.prod.yaml", "replicas: 2", "replicas: 3")
    assert affected_by(repository) == [
        AffectedStack("prod", (), {"bees": ("training", "config: serving.replicas"), "wasps": ("workloads.checks:fair",)}),
        AffectedStack("staging", (), {"bees": ("training",)}),
    ]


def test_what_workloads_share_affects_all_of_them_and_a_default_that_changed_is_a_change(repository: Repository):
    repository.replace("workloads/shared.py", "3", "4")
    repository.replace("workloads/bees/parameters.py", "10", "20")
    stacks = {each.stack: each for each in affected_by(repository)}
    assert stacks["prod"].workloads == {"bees": ("training", "application"), "wasps": ("training", "application")}
    assert first_part(stacks["prod"].workloads["bees"]) == "training"


def test_stacks_and_workloads_come_and_go(repository: Repository):
    (repository.root / "configs/Pulumi.staging.yaml").unlink()
    repository.write("configs/Pulumi.new.yaml", (repository.root / "configs/Pulumi.prod.yaml").read_text())
    repository.replace("configs/Pulumi.prod.yaml", "    bees: {serving: {replicas: 2}}\n", "")
    repository.replace(PLATFORM, "kind: local", "kind: local, onDestroy: delete")
    found = affected_by(repository)
    assert [(each.stack, each.whole) for each in found] == [
        ("new", ("it is new",)),
        ("platform", ("config: platform",)),
        ("prod", ()),
        ("staging", ("its config is gone",)),
    ]
    assert found[2].workloads == {"bees": ("it is gone",)}


def test_the_program_and_the_project_are_all_stacks_and_only_what_is_new_since_the_branch_counts(repository: Repository):
    repository.git("checkout", "-q", "main")
    repository.replace("workloads/bees/train.py", "return", "return 2 *")
    repository.commit()
    repository.git("checkout", "-q", "feature")
    assert affected_by(repository) == [], "main went on, this branch did not"
    repository.replace("infra/__main__.py", "program.run()", "program.run()\nprint(1)")
    assert {(each.stack, each.whole) for each in affected_by(repository)} == {
        (stack, ("program",)) for stack in ("platform", "prod", "staging")
    }


def test_a_workload_that_cannot_be_read_is_affected_and_says_why(repository: Repository):
    repository.replace("workloads/bees/parameters.py", "rounds: int", "rounds: nothing")
    (prod, _) = affected_by(repository)
    (why,) = prod.workloads["bees"]
    assert "cannot be read" in why and "nothing" in why


def test_a_base_that_git_does_not_know_is_told(repository: Repository):
    with pytest.raises(PermanentError, match="--base"):
        affected_by(repository, "gone")


def test_after_a_push_by_force_what_was_there_before_counts_and_all_of_it_where_nobody_has_that(repository: Repository):
    repository.replace("workloads/bees/train.py", "return FEATURES", "return FEATURES + 1")
    repository.commit()
    pushed_over = repository.git("rev-parse", "HEAD").strip()
    repository.git("reset", "-q", "--hard", "main")
    repository.replace("configs/Pulumi.prod.yaml", "replicas: 2", "replicas: 3")
    repository.commit()
    assert affected_by(repository, pushed_over) == [
        AffectedStack("prod", (), {"bees": ("training", "config: serving.replicas")}),
        AffectedStack("staging", (), {"bees": ("training",)}),
    ], "the training is not what was applied any more"
    lost = [AffectedStack(stack, ("no history has the commit before",)) for stack in ("platform", "prod", "staging")]
    assert affected_by(repository, "f" * 40) == lost
    assert affected_by(repository, "0" * 40) == lost, "as a forge says it of a branch's first push"


def test_a_commit_that_was_not_fetched_is_not_taken_for_one_that_is_gone(repository: Repository, tmp_path: Path):
    base = repository.git("rev-parse", "main").strip()
    repository.write("README.md", "Another text.\n")
    repository.commit()
    repository.git("clone", "-q", "--depth", "1", "--branch", "feature", repository.root.as_uri(), str(tmp_path / "shallow"))
    project = projects.load(tmp_path / "shallow/Pulumi.yaml")
    with pytest.raises(PermanentError, match="fetch it"):
        affected_since(project, os.environ, base)


def test_a_config_that_is_no_yaml_is_told(repository: Repository):
    repository.write("configs/Pulumi.prod.yaml", "a: [\n")
    with pytest.raises(PermanentError, match=r"Pulumi\.prod\.yaml"):
        affected_by(repository)


def test_several_processes_read_what_one_does(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = tmp_path / "before"
    shutil.copytree(repository.root, before)
    repository.replace("workloads/bees/train.py", "return FEATURES", "return FEATURES + 1")
    repository.replace("workloads/wasps/parameters.py", "rounds: int", "rounds: nothing")
    asked = Asked(entry_points=("workloads.checks:fair",))
    one = declared.read_all([before, repository.root], asked)
    monkeypatch.setattr(declared, "_FEWEST", 1)
    assert declared.read_all([before, repository.root], asked, 8) == one
    assert [sorted(each.workloads) for each in one] == [["bees", "wasps"]] * 2
    assert one[0].entry_points == one[1].entry_points != {}
    assert one[0].workloads["bees"].parts != one[1].workloads["bees"].parts and one[1].workloads["wasps"].mistake


def test_a_tree_is_read_whatever_is_loaded_of_another(repository: Repository, monkeypatch: pytest.MonkeyPatch):
    loaded = ModuleType("workloads")
    loaded.__path__ = ["/nowhere"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "workloads"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "workloads", loaded)
    found = declared.read(repository.root, Asked())
    assert {name: each.mistake for name, each in found.workloads.items()} == {"bees": "", "wasps": ""}
    assert sys.modules["workloads"] is loaded and "workloads.bees" not in sys.modules
