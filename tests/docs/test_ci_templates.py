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
ACTIONS = ("github.yml", "gitea.yml")
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
            yield from (step["run"] for step in job.get("steps", ()) if "run" in step)
            yield from job.get("script", ())


@pytest.mark.parametrize("name", EVERY)
def test_every_command_that_is_called_is_there_with_its_options(name: str):
    called = [shlex.split(line) for line in lines(name) if "/heliostat " in line]
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
    for title, job in workflow["jobs"].items():
        written = {name for name, level in job["permissions"].items() if level == "write"}
        assert written <= WRITES | ({"contents"} if title == "reconcile" else set()), title
    assert workflow["jobs"]["validate"]["permissions"] == {"contents": "read"}
    assert "secrets." not in str(workflow["jobs"]["validate"])


def test_a_merge_request_from_a_fork_gets_validation_alone():
    workflow = read("gitlab.yml")
    rules = {name: str(job["rules"]) for name, job in workflow.items() if isinstance(job, dict) and "rules" in job}
    of_merge_requests = {name for name, rule in rules.items() if "merge_request_event" in rule}
    assert of_merge_requests == {"validate", "merge-request"}
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rules["merge-request"]
    assert "id_tokens" not in workflow["validate"] and "extends" not in workflow["validate"]


@pytest.mark.skipif(ACTIONLINT is None, reason="actionlint is neither on PATH nor in HELIOSTAT_ACTIONLINT")
@pytest.mark.parametrize("name", ACTIONS)
def test_actionlint_finds_nothing(name: str, tmp_path: Path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    shutil.copy(FOLDER / name, folder)
    done = subprocess.run([str(ACTIONLINT), str(folder / name)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
