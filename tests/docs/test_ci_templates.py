"""The workflows for CI systems call what there is, are pinned, and give nobody more than the job needs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from heliostat.cli.commands import heliostat

FOLDER = Path(__file__).parents[2] / "deploy" / "ci"
ACTIONS = ("github.yml", "gitea.yml", "github-commands.yml", "gitea-commands.yml")
EVERY = (*ACTIONS, "gitlab.yml")
ACTIONLINT = os.environ.get("HELIOSTAT_ACTIONLINT") or shutil.which("actionlint")
OWN_BRANCH = "github.event.pull_request.head.repo.full_name == github.repository"
WRITES = {"id-token", "pull-requests"}


def read(name: str) -> dict[str, Any]:
    found = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(found, dict)
    return found


def lines(name: str) -> Iterator[str]:
    for job in (read(name).get("jobs") or read(name)).values():
        if isinstance(job, dict):
            yield from (line for step in job.get("steps", ()) for line in step.get("run", "").splitlines())
            yield from job.get("script", ())


@pytest.mark.parametrize("name", EVERY)
def test_every_command_that_is_called_is_there_with_its_options(name: str):
    called = [shlex.split(line.partition(" || ")[0].partition(" > ")[0]) for line in lines(name) if "/heliostat " in line]
    assert called
    for words in called:
        command: click.Command = heliostat
        context = click.Context(heliostat, info_name="heliostat")
        rest = words[1:]
        while isinstance(command, click.Group):
            found = command.get_command(context, rest.pop(0))
            assert found is not None, words
            command, context = found, click.Context(found, parent=context)
        command.make_parser(context).parse_args(rest)


def written_by(workflow: dict[str, Any], title: str) -> set[str]:
    return {name for name, level in workflow["jobs"][title]["permissions"].items() if level == "write"}


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_are_pinned_by_digest_with_their_version_beside(name: str):
    uses = [line.strip() for line in (FOLDER / name).read_text().splitlines() if "uses:" in line]
    assert uses
    assert all(re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in uses), uses


@pytest.mark.parametrize("name", ACTIONS)
def test_no_script_has_words_of_a_pull_request_put_into_it(name: str):
    assert not [line for line in lines(name) if "${{" in line]


@pytest.mark.parametrize("name", ACTIONS)
def test_what_has_secrets_runs_for_no_fork(name: str):
    if list(read(name)[True]) == ["issue_comment"]:
        return  # of the default branch; the command refuses a fork's
    for title, job in read(name)["jobs"].items():
        if "secrets." not in str(job):
            continue
        condition = str(job.get("if", ""))
        needs = job.get("needs", [])
        behind_a_push = "push" in condition or any(
            each in ("plan", "staging") for each in ([needs] if isinstance(needs, str) else needs)
        )
        assert OWN_BRANCH in condition or behind_a_push or "schedule" in condition or "workflow_dispatch" in condition, title


def test_each_job_on_github_has_the_permissions_that_it_needs_and_no_others():
    workflow = read("github.yml")
    assert workflow["permissions"] == {}
    for title in workflow["jobs"]:
        written = written_by(workflow, title)
        more = {"reconcile": {"contents"}, "resume": {"actions"}}.get(title, set())
        assert written <= WRITES | more, title
    assert written_by(workflow, "resume") == {"actions", "id-token"} and written_by(workflow, "ready") == {"id-token"}
    assert workflow["jobs"]["validate"]["permissions"] == {"contents": "read"}
    assert "secrets." not in str(workflow["jobs"]["validate"])


def test_what_a_merge_queue_puts_together_is_validated_and_nothing_else():
    workflow = read("github.yml")
    assert "merge_group" in workflow[True], "`on` is a truth in YAML"
    of_the_queue = [title for title, job in workflow["jobs"].items() if "merge_group" in str(job.get("if", ""))]
    assert of_the_queue == ["validate"]
    never, *_ = read("gitlab.yml")["merge-request"]["rules"]
    assert never == {"if": '$CI_MERGE_REQUEST_EVENT_TYPE == "merge_train"', "when": "never"}


@pytest.mark.parametrize("name", ["github.yml", "gitea.yml", "gitlab.yml"])
def test_each_hour_what_went_back_what_is_to_be_trained_and_what_came_of_rollouts_is_seen_to(name: str):
    workflow = read(name)
    job = (workflow.get("jobs") or workflow)["reconcile"]
    assert "schedule" in str(job.get("if") or job["rules"])
    told = str(job)
    assert all(f"heliostat ci {each}" in told for each in ("reconcile", "retrain", "outcomes"))


@pytest.mark.parametrize("name", ["github.yml", "gitea.yml", "gitlab.yml"])
def test_each_hour_what_takes_long_is_gone_on_with_once_it_has_ended(name: str):
    jobs = read(name).get("jobs") or read(name)
    assert "schedule" in str(jobs["continue"].get("if") or jobs["continue"]["rules"])
    assert "heliostat ci continue --stack staging --stack production" in str(jobs["continue"])
    assert "heliostat ci continue --environments" in str(jobs["sweep"]), "with what may make environments, and no more"
    assert not [title for title, job in jobs.items() if "ci continue" in str(job) and title not in ("continue", "sweep")]


def test_a_merge_request_from_a_fork_gets_validation_alone():
    workflow = read("gitlab.yml")
    rules = {name: str(job["rules"]) for name, job in workflow.items() if isinstance(job, dict) and "rules" in job}
    of_merge_requests = {name for name, rule in rules.items() if "merge_request_event" in rule}
    assert of_merge_requests == {"validate", "merge-request", "close"}
    assert all("$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rules[each] for each in ("merge-request", "close"))
    assert "id_tokens" not in workflow["validate"] and "extends" not in workflow["validate"]


@pytest.mark.parametrize("name", ["github-commands.yml", "gitea-commands.yml"])
def test_a_comment_starts_what_the_default_branch_has_and_nothing_of_the_pull_request(name: str):
    workflow = read(name)
    assert workflow[True] == {"issue_comment": {"types": ["created"]}}, "`on` is a truth in YAML"
    [job] = workflow["jobs"].values()
    assert all("ref" not in step.get("with", {}) for step in job["steps"])
    assert [step["run"] for step in job["steps"] if "run" in step][1:] == [
        ".venv/bin/heliostat ci command --stack staging --stack production"
    ], "it is told by the event's file which comment it was, and asks the forge what it says"


def test_commands_on_github_may_comment_and_no_more():
    workflow = read("github-commands.yml")
    assert workflow["permissions"] == {}
    [job] = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "read", "id-token": "write", "pull-requests": "write"}
    assert job["environment"] == "commands"


@pytest.mark.skipif(ACTIONLINT is None, reason="actionlint is neither on PATH nor in HELIOSTAT_ACTIONLINT")
@pytest.mark.parametrize("name", ACTIONS)
def test_actionlint_finds_nothing(name: str, tmp_path: Path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    shutil.copy(FOLDER / name, folder)
    done = subprocess.run([str(ACTIONLINT), str(folder / name)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
