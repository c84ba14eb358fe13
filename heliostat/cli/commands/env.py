"""`heliostat env`: a branch's environment on a shared platform."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say, switches
from heliostat.cli.durations import Duration
from heliostat.cli.exits import Exit, UsageError

if TYPE_CHECKING:
    from heliostat.gitops.environments import Environments
    from heliostat.gitops.records import EnvironmentRecord

_named = click.argument("name", required=False, metavar="[BRANCH|NAME]")
_REMOTE = "origin"


@click.group("env", cls=options.Group)
@options.everywhere
def env() -> None:
    """Have an environment for a branch: its own applications on a shared platform, for as long as they are used.

    It is made of the template `configs/Pulumi.preview.yaml` (`environments.template` of heliostat.toml names another).
    """


@env.command("up")
@click.option("--branch", metavar="NAME", help="Its branch; by default the one that is checked out, or that CI runs for.")
@click.option(
    switches.DETACH,
    is_flag=True,
    help="Leave each rollout once it has begun, and work that takes long: it goes on by itself.",
)
@click.option(switches.RETRY_REFUSED, is_flag=True, help="Ship again what was rolled back or refused before.")
@options.as_json
@options.everywhere
def up(branch: str | None, detach: bool, retry_refused: bool, as_json: bool) -> int:
    """Bring the branch's environment to what is checked out, and say where it answers.

    What any environment trained, measured or made before is not made again.
    """
    from heliostat.gitops.pull_requests import refuse_fork_here
    from heliostat.systems.git import commit_of

    refuse_fork_here(os.environ)
    environments = environments_here(as_json)
    flags = [flag for flag, given in ((switches.DETACH, detach), (switches.RETRY_REFUSED, retry_refused)) if given]
    commit = commit_of(environments.project.root, os.environ)
    record = environments.up(_branch(environments, branch), commit, flags)
    _show(environments, record, as_json)
    return Exit.OK


@env.command("list")
@options.as_json
@options.everywhere
def list_(as_json: bool) -> int:
    """List the environments: which branch each is of, when it was used last, and when it goes."""
    from heliostat.cli.tables import ago, clock, table

    environments = environments_here(as_json)
    records, damaged = environments.records.survey()
    if as_json:
        say.out(json.dumps([_told(record) for record in records], indent=2))
    elif records:
        now = time.time()
        rows = [(r.name, r.branch, ago(r.used, now), _end(environments, r, clock(r.expires))) for r in records]
        say.out(table(("NAME", "BRANCH", "LAST USE", "GOES"), rows))
    elif not damaged:
        say.out(say.runnable("There is no environment; `heliostat env up` makes one for the branch that is checked out."))
    for each in damaged:
        say.told(f"error: {each.told}")
    return Exit.FAILED if damaged else Exit.OK


@env.command("show")
@_named
@options.as_json
@options.everywhere
def show(name: str | None, as_json: bool) -> None:
    """Show one environment, and where its applications answer."""
    environments = environments_here(as_json)
    _show(environments, _existing(environments, name), as_json)


@env.command("extend")
@_named
@click.option("--for", "seconds", type=Duration(), default="3d", show_default=True, help="How long from now on, as 72h.")
@options.as_json
@options.everywhere
def extend(name: str | None, seconds: float, as_json: bool) -> None:
    """Have an environment stay, whether somebody uses it or not."""
    environments = environments_here(as_json)
    _show(environments, environments.extend(_existing(environments, name), seconds), as_json)


@env.command("down")
@_named
@options.yes
@options.as_json
@options.everywhere
def down(name: str | None, yes: bool, as_json: bool) -> int:
    """Take an environment down, with all that is its own; nothing where there is none.

    What is named by its content stays, and so do its runs of MLflow unless `environments.keep-runs` is false.
    """
    from heliostat.cli.exits import DeclinedError
    from heliostat.cli.session import is_interactive
    from heliostat.gitops.pull_requests import refuse_fork_here

    if not name:
        refuse_fork_here(os.environ)
    environments = environments_here(as_json)
    wanted = _branch(environments, name)
    record = environments.find(wanted)
    if record is None:
        return _gone(wanted, as_json)
    if not yes and not is_interactive():
        raise UsageError("--yes must be passed in to proceed when running in non-interactive mode")
    if not yes and not click.confirm(f"Take down {record.name}, the environment of {record.branch}?"):
        raise DeclinedError("confirmation declined, nothing was taken down")
    environments.down(record)
    return _gone(record.branch, as_json, record.name)


@env.command("sweep")
@click.option("--remote", default=_REMOTE, show_default=True, help="Whose branches there are; environments of others go.")
@click.option("--dry-run", is_flag=True, help="Only say which environments would go, and why.")
@options.as_json
@options.everywhere
def sweep(remote: str, dry_run: bool, as_json: bool) -> int:
    """Take down the environments that nobody uses, whose branch is gone, or that were cut off on their way out.

    It is meant for a schedule. Those of `environments.protected` stay.
    """
    from heliostat.systems.git import remote_branches

    environments = environments_here(as_json)
    listed_at = time.time()
    branches = remote_branches(environments.project.root, os.environ, remote)
    if branches is None:
        say.told(f"warning: the remote {remote!r} does not say which branches there are: none counts as gone")
    swept = environments.sweep(branches, only_tell=dry_run, listed_at=listed_at)
    if as_json:
        found = [{"name": e.name, "branch": e.branch, "why": e.why, "failure": e.failure or None} for e in swept]
        say.out(json.dumps({"dryRun": dry_run, "swept": found}, indent=2))
    elif not swept:
        say.out("No environment goes.")
    elif dry_run:
        say.out("\n".join(f"{each.name} would go: {each.why}" for each in swept if not each.failure) or "No environment goes.")
    return Exit.FAILED if any(each.failure for each in swept) else Exit.OK


def environments_here(quiet: bool, *, without: Collection[str] = ()) -> Environments:
    """The environments of the project at hand; `quiet` keeps stdout free, and commands do not get the variables `without`."""
    from heliostat.cli import checkout
    from heliostat.cli.session import Place
    from heliostat.engine.state.bucket import require_folder
    from heliostat.gitops.commands import CommandLine
    from heliostat.gitops.environments import Environments
    from heliostat.gitops.usage import requests_on

    place = Place.here()
    project = place.require_project()
    settings = checkout.read(project.root / checkout.FILE).environments
    require_folder(place.backend.bucket)  # the platform's stack is there already, so the state is, too
    return Environments(
        project,
        place.backend,
        place.keyring,
        settings,
        CommandLine(project.root, settings.template, quiet=quiet, without=without),
        requests_on,
        time.time,
        say.told if quiet else say.out,
    )


def _branch(environments: Environments, said: str | None) -> str:
    from heliostat.systems.git import branch_of, readable

    found = readable(said) if said else branch_of(Path(environments.project.root), os.environ)
    if not found:
        raise UsageError("no branch is checked out here, or this is no git repository: name one")
    return found


def _existing(environments: Environments, said: str | None) -> EnvironmentRecord:
    from heliostat.systems.errors import PermanentError

    wanted = _branch(environments, said)
    record = environments.find(wanted)
    if record is None:
        there = ", ".join(each.branch for each in environments.records.all()) or "none"
        raise PermanentError(f"there is no environment of {wanted!r}; there are those of: {there}")
    return record


def _gone(branch: str, as_json: bool, name: str = "") -> int:
    if as_json:
        say.out(json.dumps({"branch": branch, "name": name or None}, indent=2))
    else:
        say.out(f"{name} is gone." if name else f"There is no environment of {branch}.")
    return Exit.OK


def _show(environments: Environments, record: EnvironmentRecord, as_json: bool) -> None:
    from heliostat.cli.rollouts.listing import pairs
    from heliostat.cli.tables import ago, clock
    from heliostat.spec.snapshot_settings import sample_text

    urls = urls_of(environments, record)
    if as_json:
        say.out(json.dumps({**_told(record), "urls": urls}, indent=2))
        return
    lines = [
        ("branch", record.branch),
        ("commit", record.commit or "none"),
        ("platform", record.platform),
        *([("did not come up", record.failure)] if record.failure else []),
        *([("goes on", record.going)] if record.going else []),
        ("last use", ago(record.used, time.time())),
        ("goes", _end(environments, record, clock(record.expires))),
        *([("data", sample_text(record.sample))] if record.sample is not None else []),
        *((name, url) for name, url in sorted(urls.items())),
    ]
    say.out(f"\n{record.name}")
    say.out(pairs(lines, "  "))


def urls_of(environments: Environments, record: EnvironmentRecord) -> dict[str, str]:
    """Where the applications of an environment answer, by workload."""
    exported = environments.outputs(record.name)
    found = {name: exported.get(name) for name in record.workloads}
    return {name: str(each["url"]) for name, each in found.items() if isinstance(each, dict) and each.get("url")}


def _end(environments: Environments, record: EnvironmentRecord, moment: str) -> str:
    if record.leaving:
        return "now: `heliostat env sweep` finishes it"
    return "never: it is protected" if environments.settings.protects(record.branch, record.name) else moment


def _told(record: EnvironmentRecord) -> dict[str, Any]:
    kept = record.model_dump(mode="json", by_alias=True, exclude={"config", "requests", "batches"})
    return {**kept, "expires": record.expires}
