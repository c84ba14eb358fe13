"""`heliostat ci apply`: does what was planned, in its order, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say, switches
from heliostat.cli.durations import Duration
from heliostat.cli.exits import Exit, UsageError

if TYPE_CHECKING:
    from heliostat.cli.rollouts.locate import Stacks
    from heliostat.engine.config.project import Project

OUT = ".heliostat/ci"
"""Where the artefact of `ci preview` is, by default."""
FOLDER = click.Path(file_okay=False, path_type=Path)
LOCK_TIMEOUT = click.option(
    "--lock-timeout",
    "patience",
    type=Duration(),
    default="10m",
    show_default=True,
    help="How long to wait for whoever holds a stack.",
)


@click.command("apply")
@click.argument("stacks", nargs=-1, metavar="STACK...")
@click.option("--in", "folder", type=FOLDER, default=OUT, show_default=True, help="The artefact of `ci preview`.")
@click.option("--where-planned", is_flag=True, help="Pass over stacks that the change does not affect.")
@click.option(
    "--after",
    "before_it",
    multiple=True,
    metavar="STACK",
    help="Only once this commit is applied to that stack, and its rollouts there are through.",
)
@click.option(
    switches.DETACH,
    is_flag=True,
    help="Leave each rollout once it has begun, and work that takes long: `ci continue` picks its end up.",
)
@LOCK_TIMEOUT
@options.everywhere
def apply(
    stacks: tuple[str, ...],
    folder: Path,
    where_planned: bool,
    before_it: tuple[str, ...],
    detach: bool,
    patience: float,
) -> int:
    """Do what was planned for stacks, in the order in which they are named, and nothing else; by default for all of them.

    The plans have to be of the commit that is checked out. Where the world changed in between, it stops and says what differs.
    Nothing is put over what a later commit has brought. With --after it ends with 75 while that is still on its way. Where a
    stack's work goes on by itself, those that come after it are not touched; that ends with 75, too.
    """
    from heliostat.cli.left_work import wait_for_holder
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place
    from heliostat.cli.through import require_through
    from heliostat.gitops.commands import CommandLine, WorkGoesOnError
    from heliostat.gitops.pull_requests import planned_stacks
    from heliostat.systems.git import commit_of

    project = Place.here().require_project()
    commit = commit_of(project.root, os.environ)
    planned = _wanted(stacks, planned_stacks(folder, commit), folder, where_planned)
    if not planned:
        return Exit.OK
    there = stacks_here()
    for stack in planned:
        _refuse_older(there, project, stack, commit)
    for stack in before_it:
        require_through(there, project, stack, commit)
    waiting = [*planned]
    for stack, plan in planned.items():
        waiting.remove(stack)
        wait_for_holder(stack, patience)
        # Whoever held it may have brought a later one.
        _refuse_older(stacks_here(), project, stack, commit)
        try:
            CommandLine(project.root).apply(stack, plan.resolve(), [switches.DETACH] if detach else [])
        except WorkGoesOnError as error:
            say.out(f"{error}: `heliostat ci continue --stack {stack}`, in a job of a schedule, does it once it can.")
            if waiting:
                say.told(f"error: {', '.join(waiting)} comes after it, and nothing was applied to it: run it again later")
            return Exit.TRY_LATER if waiting else Exit.OK
    return Exit.OK


def _wanted(stacks: tuple[str, ...], planned: Mapping[str, Path], folder: Path, where_planned: bool) -> dict[str, Path]:
    """The plans of those that are named, in their order; by default all."""
    unplanned = [each for each in stacks if each not in planned]
    if unplanned and not where_planned:
        there = ", ".join(planned) or "none"
        raise UsageError(f"there is no plan of {', '.join(unplanned)} in {folder}; there are those of: {there}")
    if unplanned:
        say.out(f"Nothing is planned for {', '.join(unplanned)}: the change does not affect it.")
    elif not planned:
        say.out("Nothing is to be done: the change affects no stack.")
    return {each: planned[each] for each in stacks or planned if each in planned}


def _refuse_older(there: Stacks, project: Project, stack: str, commit: str) -> None:
    """See that what was applied to a stack is no later than what is checked out: of two merges the later one stays."""
    from heliostat.gitops.applied import last_applied
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.git import merge_base

    applied = last_applied(there.history(stack))
    for last in (applied.commit, applied.going, *applied.parts):
        if last and last != commit and merge_base(project.root, os.environ, last) == commit:
            raise PermanentError(
                f"{stack} has {last[:12]} already, which comes after {commit[:12]}: what was planned before it is not applied "
                "any more"
            )
