"""`heliostat env` and the commands of `heliostat ci` that speak for it: what people and programs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from platform_stack import PlatformStack

from heliostat.cli.commands import ci
from heliostat.cli.exits import NotYetError, explain
from heliostat.engine.state import locks
from heliostat.gitops import commands
from heliostat.spec.branch_environments import environment_name
from heliostat.systems.errors import RetryableError

NAME = environment_name("feature/x")
TEMPLATE = "config:\n  heliostat:platformStack: organization/demo/dev\n  heliostat:workloads: {flights: {}}\n"


class PlayedCommandLine:
    """Ups and destroys that only remember what they were."""

    ran: list[tuple[str, ...]] = []

    def __init__(self, root: Path, template: str = "", *, quiet: bool = False, without: Sequence[str] = ()) -> None:
        assert template in {"", "preview"}

    def up(self, stack: str, config: Path, flags: Sequence[str]) -> None:
        assert "branch: feature/x" in config.read_text()
        self.ran.append(("up", stack, *flags))

    def destroy(self, stack: str, config: Path) -> None:
        self.ran.append(("destroy", stack))

    def apply(self, stack: str, plan: Path, flags: Sequence[str]) -> None:
        self.ran.append(("apply", stack, plan.name, *flags))


@pytest.fixture
def project(stack):
    desk = stack
    PlatformStack(desk).exports(platform={"publicUrl": "http://127.0.0.1:1"})
    (desk.folder / "Pulumi.dev.yaml").unlink()  # it is in the state alone
    (desk.folder / "Pulumi.preview.yaml").write_text(TEMPLATE)
    desk.monkeypatch.setattr(commands, "CommandLine", PlayedCommandLine)
    desk.monkeypatch.setattr(PlayedCommandLine, "ran", [])
    for name in (
        "GITHUB_HEAD_REF",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
        "CI_COMMIT_BRANCH",
        "GITHUB_REF",
        "CI_MERGE_REQUEST_IID",
    ):
        desk.monkeypatch.delenv(name, raising=False)
    return desk


@pytest.mark.parametrize(
    "command", [("env", "up"), ("env", "up", "--branch", "feature/x"), ("ci", "close"), ("env", "down", "-y")]
)
def test_a_job_for_a_fork_s_branch_touches_no_environment(project, command):
    """Its branch may be called as one of ours is: nothing of a fork comes up, and nothing of ours goes for it."""
    project.ok("env", "up", "--branch", "feature/x")
    PlayedCommandLine.ran.clear()
    repositories = {"head": {"repo": {"full_name": "mallory/demo"}}, "base": {"repo": {"full_name": "acme/demo"}}}
    event = project.folder / "event.json"
    event.write_text(json.dumps({"action": "closed", "pull_request": repositories}))
    project.monkeypatch.setenv("GITHUB_HEAD_REF", "feature/x")
    project.monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    ran = project(*command)
    assert ran.code == 1 and "comes from a fork" in ran.err
    assert PlayedCommandLine.ran == []
    assert NAME in project.ok("env", "list")


def test_an_environment_comes_up_is_listed_extended_and_goes(project):
    out = project.ok("env", "up", "--branch", "feature/x", "--detach")
    assert f"{NAME}: the environment of feature/x" in out
    assert PlayedCommandLine.ran == [("up", NAME, "--detach")]
    assert NAME in project.ok("env", "list") and "feature/x" in project.ok("env", "show", NAME)
    before, after = (
        json.loads(project.ok(*arguments))
        for arguments in (
            ("env", "show", "feature/x", "--json"),
            ("env", "extend", "feature/x", "--for", "30d", "--json"),
        )
    )
    assert after["expires"] - before["expires"] > 26 * 86400
    assert f"{NAME} is gone" in project.ok("env", "down", "feature/x", "--yes")
    assert [command for command, *_ in PlayedCommandLine.ran] == ["up"], "a stack that has nothing is not brought down first"
    assert "There is no environment of feature/x." in project.ok("env", "down", "feature/x", "--yes")
    assert json.loads(project.ok("env", "list", "--json")) == []
    assert "heliostat env up" in project.ok("env", "list")


def test_whoever_destroys_a_platform_is_told_which_environments_stand_on_it(project):
    assert "there is" not in project("destroy", "-s", "dev", "--preview-only").err
    project.ok("env", "up", "--branch", "feature/x")
    assert f"warning: on the platform of dev there is {NAME}:" in project("destroy", "-s", "dev", "--preview-only").err


def test_why_an_environment_did_not_come_up_is_told_and_in_what_the_comment_says_of_it(project):
    def fails(*_: object) -> None:
        raise commands.CommandFailedError("`heliostat up` ended with 1")

    with project.monkeypatch.context() as patched:
        patched.setattr(PlayedCommandLine, "up", fails)
        assert "ended with 1" in project("env", "up", "--branch", "feature/x").err
    assert "did not come up" in project.ok("env", "show", "feature/x")
    note = ci._note("feature/x")
    assert note is not None and (note.name, note.failure) == (NAME, "`heliostat up` ended with 1")
    project.ok("env", "up", "--branch", "feature/x")
    assert "did not come up" not in project.ok("env", "show", "feature/x")
    note = ci._note("feature/x")
    assert note is not None and note.failure == ""


def test_the_branch_is_the_one_that_ci_runs_for(project):
    project.monkeypatch.setenv("GITHUB_HEAD_REF", "feature/x")
    said = json.loads(project.ok("env", "up", "--json"))
    assert (said["name"], said["branch"], said["urls"]) == (NAME, "feature/x", {})
    assert f"{NAME} is gone" in project.ok("ci", "close")


def test_what_is_not_meant_is_refused(project):
    assert project("env", "up").code == 2
    assert "name one" in project("env", "up").err
    assert "there are those of: none" in project("env", "show", "other").err
    assert "write 90m, 72h or 3d" in project("env", "extend", "other", "--for", "soon").err
    project.ok("env", "up", "--branch", "feature/x")
    assert "--yes" in project("env", "down", "feature/x").err
    assert PlayedCommandLine.ran == [("up", NAME)]


def test_a_protected_environment_stays(project):
    (project.folder / "heliostat.toml").write_text('[environments]\nprotected = ["feature/*"]\n')
    project.ok("env", "up", "--branch", "feature/x")
    assert "protected" in project("env", "down", "feature/x", "--yes").err
    assert "never" in project.ok("env", "list")


def test_a_sweep_without_a_remote_says_so_and_takes_nothing(project):
    project.ok("env", "up", "--branch", "feature/x")
    swept = project("env", "sweep", "--json")
    assert swept.code == 0 and "none counts as gone" in swept.err
    assert json.loads(swept.out) == {"dryRun": False, "swept": []}


def test_a_damaged_record_is_told_beside_all_others_and_fails_the_command(project):
    project.ok("env", "up", "--branch", "feature/x")
    record = next(each for each in project.state.rglob(f"{NAME}.json") if "environments" in each.parts)
    (record.parent / "other-abcdefghij.json").write_text("")
    listed = project("env", "list", "--json")
    assert listed.code == 1 and [each["name"] for each in json.loads(listed.out)] == [NAME]
    assert "other-abcdefghij.json is no record of an environment" in listed.err
    swept = project("env", "sweep", "--json")
    (damaged,) = json.loads(swept.out)["swept"]
    assert swept.code == 1 and (damaged["name"], damaged["why"]) == ("other-abcdefghij", "its record is damaged")
    dry = project("env", "sweep", "--dry-run")
    assert dry.code == 1 and "No environment goes." in dry.out and "is no record" in dry.out + dry.err


def test_mistakes_of_every_config_are_told_at_once(project):
    (project.folder / "Pulumi.prod.yaml").write_text("config:\n  heliostat:platform: {kind: local, rays: 1}\n")
    ran = project("ci", "validate", "--json")
    said = json.loads(ran.out)
    assert ran.code == 1 and said["files"] == ["Pulumi.preview.yaml", "Pulumi.prod.yaml"]
    assert "Pulumi.prod.yaml:2" in "\n".join(said["mistakes"]) and "rays" in "\n".join(said["mistakes"])
    (project.folder / "Pulumi.prod.yaml").write_text("config:\n  heliostat:platform: {kind: local}\n")
    (project.folder / "Pulumi.preview.yaml").unlink()
    assert "No mistake in Pulumi.prod.yaml." in project.ok("ci", "validate")


def test_only_what_was_planned_of_this_commit_is_applied(project):
    folder = project.folder / ".heliostat" / "ci"
    folder.mkdir(parents=True)
    stacks = [{"stack": name, "document": {"result": "succeeded"}, "failure": "", "why": []} for name in ("a", "b")]
    report = {"commit": "", "artefact": "", "environment": None, "stacks": stacks}
    (folder / "report.json").write_text(json.dumps(report))
    waits: list[tuple[str, float]] = []
    project.monkeypatch.setattr(locks, "wait_until_free", lambda _, stack, seconds, *__: waits.append((stack, seconds)))
    project.ok("ci", "apply", "b", "--detach")
    assert [(stack.rpartition("/")[2], seconds) for stack, seconds in waits] == [("b", 600.0)], "somebody may hold it"
    assert PlayedCommandLine.ran == [("apply", "b", "b.plan.json", "--detach")]
    assert "no plan of c" in project("ci", "apply", "c").err
    assert "Nothing is planned for c" in project.ok("ci", "apply", "a", "c", "--where-planned")
    assert PlayedCommandLine.ran[1:] == [("apply", "a", "a.plan.json")]
    assert "Nothing is planned for c" in project.ok("ci", "apply", "c", "--where-planned")
    assert len(PlayedCommandLine.ran) == 2
    (folder / "report.json").write_text(json.dumps({**report, "commit": "c0ffee"}))
    assert "of commit c0ffee" in project("ci", "apply").err


def test_what_waits_for_what_is_on_its_way_ends_with_a_code_of_its_own():
    assert explain(NotYetError("later")) == (75, "later")
    assert explain(RetryableError("later")) == (1, "later")


def test_a_base_and_what_was_applied_exclude_each_other(project):
    told = project("ci", "affected", "--base", "main", "--since-applied")
    assert told.code == 2 and "exclude each other" in told.err


def test_a_comment_needs_a_pull_request_and_a_forge(project):
    assert "--pull-request" in project("ci", "comment").err


def test_a_promotion_names_one_source(project):
    assert "--from" in project("promote", "flights", "--to", "prod").err
