"""`heliostat ci`: what a CI system asks about a change, and does for a pull request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say, switches
from heliostat.cli.commands.ci_command import command
from heliostat.cli.commands.ci_outcomes import outcomes
from heliostat.cli.commands.ci_reconcile import reconcile
from heliostat.cli.commands.ci_retrain import retrain
from heliostat.cli.exits import Exit, UsageError

if TYPE_CHECKING:
    from heliostat.gitops.affected import AffectedStack
    from heliostat.gitops.plan_comment import EnvironmentNote
    from heliostat.gitops.settings import EnvironmentSettings

_OUT = ".heliostat/ci"
_VERSION = "heliostat:index:ModelVersion"
_FOLDER = click.Path(file_okay=False, path_type=Path)


def _of_this_job(_: click.Context, __: click.Parameter, value: int | None) -> int | None:
    from heliostat.systems.forges.here import pull_request_here

    return pull_request_here(os.environ) if value is None else value


_pull_request = click.option(
    "--pull-request", "number", type=int, callback=_of_this_job, metavar="N", help="Its number; by default the job's."
)


@click.group("ci", cls=options.Group)
@options.everywhere
def ci() -> None:
    """Check a change, and say what it affects, as a CI system does for a pull request."""


@ci.command("validate")
@options.as_json
@options.everywhere
def validate(as_json: bool) -> int:
    """Find every mistake in the stacks' configs and the workloads' code that can be found without a cluster.

    It needs no credential and no stack, so that it is safe for a change that comes from anybody.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.validation import mistakes_in, stack_files

    project = Place.here().require_project()
    mistakes = list(mistakes_in(project, _settings(project.root)))
    files = [str(file.relative_to(project.root)) for file in stack_files(project)]
    if as_json:
        say.out(json.dumps({"files": files, "mistakes": mistakes}, indent=2))
    elif mistakes:
        say.out("\n".join(mistakes))
    else:
        say.out(f"No mistake in {', '.join(files) or 'any config: there is none'}.")
    return Exit.FAILED if mistakes else Exit.OK


@ci.command("affected")
@click.option(
    "--base", default="origin/HEAD", show_default=True, metavar="COMMIT", help="What the change is to be merged into."
)
@options.as_json
@options.everywhere
def affected(base: str, as_json: bool) -> None:
    """Say which stacks and workloads differ from the base, by the digests that decide in an update.

    A comment, a document or a file that no entry point needs affects nothing. What is not committed yet counts, too.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.trees import affected_since

    found = affected_since(Place.here().require_project(), os.environ, base)
    if as_json:
        say.out(json.dumps([_told(each) for each in found], indent=2))
    elif not found:
        say.out(f"Nothing differs from {base} that an update would change.")
    else:
        say.out("\n".join(line for each in found for line in _lines(each)))


@ci.command("preview")
@click.option("--base", default="origin/HEAD", show_default=True, metavar="COMMIT", help="What it is merged into.")
@click.option("--out", "folder", type=_FOLDER, default=_OUT, show_default=True, help="Where the artefact is written to.")
@click.option("--stack", "only", multiple=True, metavar="NAME", help="Only these of the stacks that it affects.")
@_pull_request
@options.as_json
@options.everywhere
def preview(base: str, folder: Path, only: tuple[str, ...], number: int | None, as_json: bool) -> int:
    """Preview each stack that the change affects, and keep plans and previews for the comment and for `ci apply`.

    A pull request from a fork is refused. Of one that is not known (no --pull-request, no CI), nobody is asked.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.commands import CommandLine
    from heliostat.gitops.pull_requests import preview_all, refuse_forks
    from heliostat.gitops.trees import affected_since
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git import commit_of

    project = Place.here().require_project()
    if number is not None:
        refuse_forks(open_forge(os.environ), number)
    found = affected_since(project, os.environ, base)
    whys = {
        each.stack: [*each.whole, *(f"{name}: {why}" for name, all_ in each.workloads.items() for why in all_)]
        for each in found
    }
    template = _settings(project.root).template
    wanted = {stack: why for stack, why in whys.items() if stack != template and (not only or stack in only)}
    report = preview_all(CommandLine(project.root), wanted, commit_of(project.root, os.environ), folder)
    failed = [each.stack for each in report.stacks if each.failure or each.document.get("result") == "failed"]
    if as_json:
        say.out(
            json.dumps({"folder": str(folder), "stacks": [each.stack for each in report.stacks], "failed": failed}, indent=2)
        )
    else:
        say.out((folder / "comment.md").read_text(encoding="utf-8").rstrip())
    return Exit.FAILED if failed else Exit.OK


@ci.command("comment")
@click.option("--in", "folder", type=_FOLDER, default=_OUT, show_default=True, help="The artefact of `ci preview`.")
@click.option("--environment", metavar="[BRANCH|NAME]", help="Tell of this environment, too; by default of the branch's.")
@click.option("--beside", metavar="STACK", help="Tell its models and data beside those of this stack, as of production.")
@click.option("--artefact", default="", metavar="TEXT", help="Where people find the whole, as the address of the job.")
@_pull_request
@options.as_json
@options.everywhere
def comment_(
    folder: Path, environment: str | None, beside: str | None, artefact: str, number: int | None, as_json: bool
) -> None:
    """Put what `ci preview` found into the pull request's one comment, with the addresses of its environment."""
    import dataclasses

    from heliostat.gitops.commenting import keep_comment
    from heliostat.gitops.plan_comment import comment
    from heliostat.gitops.pull_requests import keep, kept
    from heliostat.systems.forges.here import open_forge

    number = _required(number)
    report = kept(folder)
    note = _note(environment)
    told = tuple(_comparisons(note.name, beside)) if note and beside else ()
    report = dataclasses.replace(report, environment=note, artefact=artefact or report.artefact, comparisons=told)
    keep(report, folder)
    forge = open_forge(os.environ)
    text = comment(report, forge.longest_comment)
    keep_comment(forge, number, text)
    if as_json:
        say.out(json.dumps({"pullRequest": number, "characters": len(text)}, indent=2))
    else:
        say.out(f"The comment on pull request {number} is up to date.")


@ci.command("apply")
@click.argument("stacks", nargs=-1, metavar="STACK...")
@click.option("--in", "folder", type=_FOLDER, default=_OUT, show_default=True, help="The artefact of `ci preview`.")
@click.option("--where-planned", is_flag=True, help="Pass over stacks that the change does not affect.")
@click.option(switches.DETACH, is_flag=True, help="Leave each rollout once it has begun; a later job picks its end up.")
@options.everywhere
def apply(stacks: tuple[str, ...], folder: Path, where_planned: bool, detach: bool) -> int:
    """Do what was planned for stacks, in the order in which they are named, and nothing else; by default for all of them.

    The plans have to be of the commit that is checked out. Where the world changed in between, it stops and says what differs.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.commands import CommandLine
    from heliostat.gitops.pull_requests import planned_stacks
    from heliostat.systems.git import commit_of

    root = Place.here().require_project().root
    planned = planned_stacks(folder, commit_of(root, os.environ))
    unplanned = [each for each in stacks if each not in planned]
    if where_planned and unplanned:
        say.out(f"Nothing is planned for {', '.join(unplanned)}: the change does not affect it.")
        stacks = tuple(each for each in stacks if each in planned)
        planned = {each: planned[each] for each in stacks}
    elif unplanned:
        there = ", ".join(planned) or "none"
        raise UsageError(f"there is no plan of {', '.join(unplanned)} in {folder}; there are those of: {there}")
    elif not planned:
        say.out("Nothing is to be done: the change affects no stack.")
    for stack in stacks or planned:
        CommandLine(root).apply(stack, planned[stack].resolve(), [switches.DETACH] if detach else [])
    return Exit.OK


@ci.command("close")
@click.option("--branch", metavar="NAME", help="Its branch; by default the one that CI runs for.")
@options.as_json
@options.everywhere
def close(branch: str | None, as_json: bool) -> int:
    """Take down the environment of a pull request that is closed; nothing where it has none."""
    from heliostat.cli.commands.env import down

    return int(click.get_current_context().invoke(down, name=branch, yes=True, as_json=as_json))


ci.add_command(outcomes)
ci.add_command(reconcile)
ci.add_command(retrain)
ci.add_command(command)


def _settings(root: Path) -> EnvironmentSettings:
    from heliostat.cli import checkout

    return checkout.read(root / checkout.FILE).environments


def _required(number: int | None) -> int:
    if number is None:
        raise UsageError("which pull request? Run it in a job for one, or name it with --pull-request")
    return number


def _note(wanted: str | None) -> EnvironmentNote | None:
    """The branch's environment for the comment; None where it has none."""
    from heliostat.cli.commands.env import environments_here, urls_of
    from heliostat.cli.tables import clock
    from heliostat.gitops.plan_comment import EnvironmentNote
    from heliostat.systems.git import branch_of, readable

    environments = environments_here(quiet=True)
    branch = readable(wanted) if wanted else branch_of(environments.project.root, os.environ)
    record = environments.find(branch) if branch else None
    if record is None:
        return None
    goes = f"{clock(record.expires)} where nobody uses it"
    return EnvironmentNote(record.name, urls_of(environments, record), goes, sample=record.sample)


def _comparisons(environment: str, beside: str) -> Iterator[str]:
    """What differs between the models and the data of an environment and of another stack, workload by workload."""
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.gitops.comparison import addresses_in, comparison
    from heliostat.gitops.evaluations import side_of

    stacks = stacks_here()
    resources = [stacks.resources(stack) for stack in (environment, beside)]
    stores = [(stacks.outputs(stack).get("platform") or {}).get("store") for stack in (environment, beside)]
    workloads = sorted(
        {str(each["outputs"]["name"]) for each in resources[0] if each["type"] == _VERSION and each.get("outputs")}
    )
    for workload in workloads:
        ours, theirs = (side_of(addresses_in(each, workload), store) for each, store in zip(resources, stores, strict=True))
        if told := comparison(workload, ours, theirs, beside):
            yield told


def _lines(each: AffectedStack) -> list[str]:
    whole = [f"  all of it: {', '.join(each.whole)}"] if each.whole else []
    return [each.stack, *whole, *(f"  {name}: {', '.join(why)}" for name, why in each.workloads.items())]


def _told(each: AffectedStack) -> dict[str, object]:
    from heliostat.gitops.affected import first_part

    workloads = {name: {"why": list(why), "from": first_part(why)} for name, why in each.workloads.items()}
    return {"stack": each.stack, "whole": list(each.whole), "workloads": workloads}
