"""`heliostat ci`: what a CI system asks about a change, and does for a pull request."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.commands.ci_apply import FOLDER, OUT, apply
from heliostat.cli.commands.ci_command import command
from heliostat.cli.commands.ci_continue import continue_
from heliostat.cli.commands.ci_outcomes import outcomes
from heliostat.cli.commands.ci_ready import ready, resume
from heliostat.cli.commands.ci_reconcile import reconcile
from heliostat.cli.commands.ci_retrain import retrain
from heliostat.cli.exits import Exit, UsageError

if TYPE_CHECKING:
    from heliostat.gitops.affected import AffectedStack
    from heliostat.gitops.plan_comment import EnvironmentNote
    from heliostat.gitops.settings import EnvironmentSettings

_BASE = "origin/HEAD"
_VERSION = "heliostat:index:ModelVersion"


def _of_this_job(_: click.Context, __: click.Parameter, value: int | None) -> int | None:
    from heliostat.systems.forges.here import pull_request_here

    return pull_request_here(os.environ) if value is None else value


_pull_request = click.option(
    "--pull-request", "number", type=int, callback=_of_this_job, metavar="N", help="Its number; by default the job's."
)


_base = click.option(
    "--base", metavar="COMMIT", help=f"What the change is to be merged into.  [default: {_BASE}]", show_default=False
)
_since_applied = click.option(
    "--since-applied", is_flag=True, help="In the place of a base: what was applied to each stack last, as its history says."
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
@_base
@_since_applied
@options.as_json
@options.everywhere
def affected(base: str | None, since_applied: bool, as_json: bool) -> None:
    """Say which stacks and workloads differ from the base, by the digests that decide in an update.

    A comment, a document or a file that no entry point needs affects nothing. What is not committed yet counts, too.
    """
    found = _affected(base, since_applied)
    if as_json:
        say.out(json.dumps([_told(each) for each in found], indent=2))
    elif not found:
        since = "what was applied last" if since_applied else base or _BASE
        say.out(f"Nothing differs from {since} that an update would change.")
    else:
        say.out("\n".join(line for each in found for line in _lines(each)))


@ci.command("preview")
@_base
@_since_applied
@click.option("--out", "folder", type=FOLDER, default=OUT, show_default=True, help="Where the artefact is written to.")
@click.option("--stack", "only", multiple=True, metavar="NAME", help="Only these of the stacks that it affects.")
@_pull_request
@options.as_json
@options.everywhere
def preview(
    base: str | None, since_applied: bool, folder: Path, only: tuple[str, ...], number: int | None, as_json: bool
) -> int:
    """Preview each stack that the change affects, and keep plans and previews for the comment and for `ci apply`.

    A pull request from a fork is refused. Of one that is not known (no --pull-request, no CI), nobody is asked. After a merge
    --since-applied has what earlier merges brought and nobody applied, too.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.commands import CommandLine
    from heliostat.gitops.pull_requests import preview_all, refuse_forks
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git import commit_of

    project = Place.here().require_project()
    if number is not None:
        refuse_forks(open_forge(os.environ), number)
    found = _affected(base, since_applied, only)
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
@click.option("--in", "folder", type=FOLDER, default=OUT, show_default=True, help="The artefact of `ci preview`.")
@click.option("--environment", metavar="[BRANCH|NAME]", help="Tell of this environment, too; by default of the branch's.")
@click.option("--beside", metavar="STACK", help="Tell its models and data beside those of this stack, as of production.")
@click.option("--artefact", default="", metavar="TEXT", help="Where people find the whole, as the address of the job.")
@_pull_request
@options.as_json
@options.everywhere
def comment_(
    folder: Path, environment: str | None, beside: str | None, artefact: str, number: int | None, as_json: bool
) -> None:
    """Put what `ci preview` found into the pull request's one comment, with the addresses of its environment.

    Where something was pushed since, the comment stays as it is: the job of that push writes it.
    """
    import dataclasses

    from heliostat.cli.session import Place
    from heliostat.gitops.commenting import keep_comment
    from heliostat.gitops.plan_comment import comment
    from heliostat.gitops.pull_requests import keep, kept
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git import is_behind

    number = _required(number)
    report = kept(folder)
    note = _note(environment)
    told = tuple(_comparisons(note.name, beside)) if note and beside else ()
    report = dataclasses.replace(report, environment=note, artefact=artefact or report.artefact, comparisons=told)
    keep(report, folder)
    forge = open_forge(os.environ)
    text = comment(report, forge.longest_comment)
    pushed = forge.pull_request(number).commit
    # Where jobs of one pull request run side by side, the one of an earlier push may end last.
    is_late = bool(pushed) and is_behind(Place.here().require_project().root, os.environ, pushed)
    if not is_late:
        keep_comment(forge, number, text)
    if as_json:
        say.out(json.dumps({"pullRequest": number, "characters": 0 if is_late else len(text)}, indent=2))
    elif is_late:
        say.out(f"Pull request {number} is at {pushed[:12]} by now, whose own job writes its comment: it stays as it is.")
    else:
        say.out(f"The comment on pull request {number} is up to date.")


@ci.command("close")
@click.option("--branch", metavar="NAME", help="Its branch; by default the one that CI runs for.")
@options.as_json
@options.everywhere
def close(branch: str | None, as_json: bool) -> int:
    """Take down the environment of a pull request that is closed; nothing where it has none."""
    from heliostat.cli.commands.env import down

    return int(click.get_current_context().invoke(down, name=branch, yes=True, as_json=as_json))


ci.add_command(apply)
ci.add_command(continue_)
ci.add_command(outcomes)
ci.add_command(ready)
ci.add_command(reconcile)
ci.add_command(resume)
ci.add_command(retrain)
ci.add_command(command)


def _settings(root: Path) -> EnvironmentSettings:
    from heliostat.cli import checkout

    return checkout.read(root / checkout.FILE).environments


def _affected(base: str | None, since_applied: bool, only: Collection[str] = ()) -> list[AffectedStack]:
    """The stacks that differ from the base, or from what was applied to each: then of those in `only` alone, by default of all
    that have a config, but for the template's.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.trees import affected_since

    project = Place.here().require_project()
    if not since_applied:
        return affected_since(project, os.environ, base or _BASE)
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.gitops.applied import affected_since_applied, last_applied
    from heliostat.gitops.validation import stack_files

    if base is not None:
        raise UsageError("--base and --since-applied exclude each other: name one commit, or take what was applied last")
    named = {file.name.removeprefix("Pulumi.").removesuffix(file.suffix) for file in stack_files(project)}
    stacks = stacks_here()
    wanted = sorted(only or named - {_settings(project.root).template})
    return affected_since_applied(project, os.environ, {each: last_applied(stacks.history(each)) for each in wanted})


def _required(number: int | None) -> int:
    if number is None:
        raise UsageError("which pull request? Run it in a job for one, or name it with --pull-request")
    return number


def _note(wanted: str | None) -> EnvironmentNote | None:
    """The branch's environment for the comment; None where it has none."""
    from heliostat.cli.commands.env import environments_here, urls_of
    from heliostat.cli.left_work import left_of
    from heliostat.cli.tables import clock
    from heliostat.gitops.plan_comment import EnvironmentNote
    from heliostat.systems.git import branch_of, readable

    environments = environments_here(quiet=True)
    branch = readable(wanted) if wanted else branch_of(environments.project.root, os.environ)
    record = environments.find(branch) if branch else None
    if record is None:
        return None
    goes = f"{clock(record.expires)} where nobody uses it"
    going = [each.message.partition(";")[0] for each in left_of(record.name).going] if record.going else []
    urls = urls_of(environments, record)
    return EnvironmentNote(record.name, urls, goes, sample=record.sample, failure=record.failure, going=going)


def _comparisons(environment: str, beside: str) -> Iterator[str]:
    """What differs between the models and the data of an environment and of another stack, workload by workload.

    An environment that has no stack has nothing to compare; of another stack that is not there yet, that is said.
    """
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.engine.stackerrors import NotFoundError
    from heliostat.gitops.comparison import addresses_in, comparison, nothing_beside
    from heliostat.gitops.evaluations import side_of
    from heliostat.spec.platforms.exported import platform_in

    stacks = stacks_here()
    resources, stores = [], []
    for stack in (environment, beside):
        try:
            resources.append(stacks.resources(stack))
            stores.append(platform_in(stacks.outputs(stack)).get("store"))
        except NotFoundError as error:
            if stack == beside:
                say.told(f"warning: {error}")
                yield nothing_beside(beside)
            return
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
