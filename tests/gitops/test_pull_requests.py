"""What one CI job leaves for the next: plans and a report, of one commit, and never for a fork."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from played_forges import PlayedForge

from heliostat.gitops.applied import NEVER
from heliostat.gitops.plan_comment import EnvironmentNote
from heliostat.gitops.pull_requests import (
    ForkError,
    Previewed,
    keep,
    kept,
    planned_stacks,
    preview_all,
    refuse_forks,
)
from heliostat.systems.errors import PermanentError


class PlayedPreviews:
    """Previews of stacks; `broken` ones write nothing, `gone` ones have no config."""

    broken = frozenset({"broken"})
    gone = frozenset({"gone"})

    def has_config(self, stack: str) -> bool:
        return stack not in self.gone

    def preview(self, stack: str, plan: Path) -> Previewed:
        if stack in self.broken:
            return Previewed({}, "error: the config has mistakes\n")
        plan.write_text("{}")
        return Previewed({"result": "succeeded", "changeSummary": {"update": 1}}, "")


def test_the_next_job_finds_plans_and_the_report(tmp_path: Path):
    folder = tmp_path / "ci"
    made = preview_all(PlayedPreviews(), {"a": ["flights: training"], "gone": ["its config is gone"]}, "c1", folder)
    assert kept(folder) == made
    assert planned_stacks(folder, "c1") == {"a": folder / "a.plan.json"}
    assert "1 stack would change" in (folder / "comment.md").read_text()
    assert "its config is gone" in (folder / "comment.md").read_text()


def test_a_stack_that_never_was_there_is_no_plan_that_ends_well(tmp_path: Path):
    made = preview_all(PlayedPreviews(), {"gone": [NEVER]}, "c1", tmp_path)
    assert "write Pulumi.gone.yaml, and make the stack with `heliostat stack init gone`" in made.stacks[0].failure
    with pytest.raises(PermanentError, match="gone could not be previewed"):
        planned_stacks(tmp_path, "c1")


def test_a_report_gets_its_environment_later(tmp_path: Path):
    made = preview_all(PlayedPreviews(), {"a": []}, "c1", tmp_path)
    later = type(made)(made.commit, made.stacks, EnvironmentNote("x", {"flights": "http://here"}), "there")
    keep(later, tmp_path)
    assert kept(tmp_path) == later


def test_one_stack_that_cannot_be_previewed_hides_no_other_and_nothing_is_applied(tmp_path: Path):
    made = preview_all(PlayedPreviews(), {"broken": [], "a": []}, "c1", tmp_path)
    assert [(each.stack, each.failure) for each in made.stacks] == [("broken", "error: the config has mistakes"), ("a", "")]
    with pytest.raises(PermanentError, match="broken could not be previewed"):
        planned_stacks(tmp_path, "c1")


def test_plans_of_another_commit_are_refused(tmp_path: Path):
    preview_all(PlayedPreviews(), {"a": []}, "c1", tmp_path)
    with pytest.raises(PermanentError, match="of commit c1, and c2 is checked out"):
        planned_stacks(tmp_path, "c2")


@pytest.mark.parametrize("content", [None, "", "{}", json.dumps({"commit": "c", "stacks": [{"x": 1}]})])
def test_a_folder_without_a_report_is_told(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(PermanentError, match="ci preview"):
        kept(tmp_path)


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
def test_a_fork_is_refused(kind: str):
    played = PlayedForge(kind)
    played.repository.pull("feature")
    refuse_forks(played.forge, 7)
    played.repository.pull("feature", fork=True)
    with pytest.raises(ForkError, match="ci validate"):
        refuse_forks(played.forge, 7)
