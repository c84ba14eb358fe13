"""What the workflows for CI systems do with merges, with failures and each hour is the same as far as the forges allow."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "ci"
EVERY = ("github.yml", "gitlab.yml", "gitea.yml")
WITH_ACTIONS = ("github.yml", "gitea.yml")


def read(name: str) -> dict[str, Any]:
    found = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(found, dict)
    return found


def job(name: str, title: str) -> dict[str, Any]:
    workflow = read(name)
    found = (workflow.get("jobs") or workflow)[title]
    assert isinstance(found, dict)
    return found


def ran(name: str, title: str) -> list[str]:
    """The lines of a job that call the library."""
    found = job(name, title)
    lines = found.get("script") or [step.get("run", "") for step in found["steps"]]
    return [line for line in lines if "/heliostat " in line]


@pytest.mark.parametrize("name", WITH_ACTIONS)
def test_no_run_of_a_merge_is_in_one_group_with_another_merge_s_or_with_the_schedule_s(name: str):
    """Of a group's waiting runs a forge keeps one: the run of a merge that waits for reviewers would be in the way of all."""
    workflow = read(name)
    group = workflow["concurrency"]["group"]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert "github.head_ref" not in group and "github.ref" not in group, "forks have branches of the same names"
    assert "format('pr-{0}', github.event.pull_request.number)" in group and "github.sha" in group
    assert re.search(r"'schedule' && 'schedule'|github\.event_name }}$", group.strip()), group


@pytest.mark.parametrize("name", EVERY)
def test_after_a_merge_all_that_was_not_applied_yet_is_planned(name: str):
    titles = ("plan", "staging") if name != "gitea.yml" else ("staging", "production")
    for title in titles:
        assert [line for line in ran(name, title) if "ci preview --since-applied" in line], title
    text = (FOLDER / name).read_text()
    assert "event.before" not in text and "CI_COMMIT_BEFORE_SHA" not in text


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_nobody_is_asked_for_production_before_staging_is_through_and_a_later_job_sees_to_it(name: str):
    (looks,), (begins,) = ran(name, "ready"), ran(name, "resume")
    assert "ci ready --after staging --wait 10m" in looks
    assert "ci resume ready --before production --after staging" in begins
    assert "schedule" in str(job(name, "resume").get("if") or job(name, "resume")["rules"])
    for title in ("ready", "resume"):
        place = job(name, title)["environment"]
        assert place in ("plan", {"name": "plan"}), "it has no right to apply anything"
    if name == "gitlab.yml":
        stages = read(name)["stages"]
        assert stages.index("staging") < stages.index(job(name, "ready")["stage"]) < stages.index("production")
        assert job(name, "ready")["allow_failure"] == {"exit_codes": [75]}, "a warning, and of that alone"
        (rule,) = job(name, "production")["rules"]
        assert rule["when"] == "manual" and "allow_failure" not in {**rule, **job(name, "production")}, (
            "the pipeline is blocked"
        )
    else:
        assert "ready" in job(name, "production")["needs"]
        assert job(name, "production")["if"] == "needs.ready.outputs.through == 'true'"
        assert job(name, "production")["environment"] == "production"


def test_on_gitea_a_job_that_is_passed_over_is_in_no_group_with_one_that_is_not():
    for title, event in (("staging", "push"), ("production", "workflow_dispatch")):
        group = job("gitea.yml", title)["concurrency"]["group"]
        assert group == f"heliostat-{title}-${{{{ github.event_name == '{event}' && 'all' || github.run_id }}}}"


def test_on_gitea_what_somebody_started_goes_on_once_staging_is_through_where_they_want_it_to():
    looks, applies = job("gitea.yml", "ready"), job("gitea.yml", "production")
    assert applies["needs"] == "ready" and applies["if"].endswith(" && needs.ready.outputs.through == 'true'")
    assert looks["if"] == "github.event_name == 'workflow_dispatch' && github.ref == 'refs/heads/main'"
    assert job("gitea.yml", "resume")["if"] == "github.event_name == 'schedule'"
    assert ran("gitea.yml", "resume") == [".venv/bin/heliostat ci resume ready --before production --after staging"]


@pytest.mark.parametrize(
    ("code", "waits", "is_through", "ends"), [(0, "true", True, 0), (0, "false", True, 0), (75, "true", False, 0),
                                             (75, "false", False, 75), (75, "", False, 75), (1, "true", False, 1)]
)  # fmt: skip
def test_the_job_that_looks_on_gitea_lets_production_begin_only_where_staging_is_through(
    tmp_path: Path, code: int, waits: str, is_through: bool, ends: int
):
    (script,) = [step["run"] for step in job("gitea.yml", "ready")["steps"] if step.get("id") == "look"]
    command = tmp_path / ".venv" / "bin" / "heliostat"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\nexit {code}\n")
    command.chmod(0o755)
    environment = {**os.environ, "WAIT": waits, "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=False)
    told = (tmp_path / "output").read_text() if (tmp_path / "output").exists() else ""
    assert (done.returncode, told == "through=true\n") == (ends, is_through)


@pytest.mark.parametrize("name", EVERY)
def test_production_comes_only_after_staging_is_through(name: str):
    (applied,) = [line for line in ran(name, "production") if "ci apply" in line]
    assert "--after staging" in applied
    assert "--after" not in str(job(name, "staging"))


@pytest.mark.parametrize("name", WITH_ACTIONS)
def test_jobs_that_ask_what_was_applied_have_the_whole_history(name: str):
    for title, found in read(name)["jobs"].items():
        if "--since-applied" in str(found) or "ci apply" in str(found):
            (checkout,) = [step for step in found["steps"] if "actions/checkout@" in step.get("uses", "")]
            assert checkout["with"]["fetch-depth"] == 0, title


@pytest.mark.parametrize("name", WITH_ACTIONS)
def test_a_preview_or_an_environment_that_failed_is_told_in_the_comment(name: str):
    steps = job(name, "pull-request")["steps"]
    (first,) = [number for number, step in enumerate(steps) if "ci preview" in step.get("run", "")]
    assert [step.get("if") for step in steps[first + 1 :]] == ["${{ !cancelled() }}"] * 3
    assert "env up" in steps[first + 1]["run"] and "ci comment" in steps[first + 2]["run"]
    assert "upload-artifact" in steps[first + 3]["uses"] and "--artefact" in steps[first + 2]["run"]


def test_a_preview_or_an_environment_that_failed_is_told_in_the_note_and_fails_the_job():
    script = job("gitlab.yml", "merge-request")["script"]
    assert script[0] == "failed=0" and script[-1] == 'exit "$failed"'
    assert all(line.endswith(" || failed=1") for line in script[1:-1]) and "ci comment" in script[-2]


@pytest.mark.parametrize("name", EVERY)
def test_each_hour_drift_is_looked_for_in_each_stack_and_kept_where_people_find_it(name: str):
    found, lines = job(name, "drift"), ran(name, "drift")
    assert "schedule" in str(found.get("if") or found["rules"])
    for stack in ("staging", "production"):
        (line,) = [line for line in lines if line.partition(" > ")[0].endswith(f"--stack {stack}")]
        assert "refresh --preview-only --diff --expect-no-changes" in line and f"> {stack}.drift 2>&1" in line
    kept = {"github.yml": "GITHUB_STEP_SUMMARY", "gitea.yml": "upload-artifact", "gitlab.yml": "artifacts"}[name]
    assert kept in str(found)


def test_a_merge_request_that_is_closed_has_its_environment_taken_down_though_its_branch_stays():
    opened, closed = job("gitlab.yml", "merge-request"), job("gitlab.yml", "close")
    assert opened["environment"] == {"name": "preview/$CI_MERGE_REQUEST_IID", "on_stop": "close"}
    assert closed["environment"] == {"name": "preview/$CI_MERGE_REQUEST_IID", "action": "stop"}
    assert closed["resource_group"] == opened["resource_group"] and closed["stage"] == opened["stage"]
    *same, last = closed["rules"]
    *others, opens = opened["rules"]
    assert same == others and last == {**opens, "when": "manual", "allow_failure": True}
    assert ran("gitlab.yml", "close") == [".venv/bin/heliostat ci close"]


@pytest.mark.parametrize("name", WITH_ACTIONS)
def test_of_two_merges_that_come_at_once_staging_takes_one_after_the_other(name: str):
    found = job(name, "staging")["concurrency"]
    assert found["group"].startswith("heliostat-staging") and found["cancel-in-progress"] is False


@pytest.mark.parametrize("name", EVERY)
def test_what_is_applied_is_what_was_planned(name: str):
    assert not [line for title in ("staging", "production") for line in ran(name, title) if " up " in line]
