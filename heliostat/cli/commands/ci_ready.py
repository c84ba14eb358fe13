"""`heliostat ci ready` and `ci resume`: whether production may be asked for, and what asks for it once it may."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import click

from heliostat.cli import options, say
from heliostat.cli.durations import Duration
from heliostat.cli.exits import Exit, NotYetError, UsageError

_LOOK_S = 15.0

_before = click.option("--after", "before_it", multiple=True, required=True, metavar="STACK", help="What comes before it.")


@click.command("ready")
@_before
@click.option(
    "--wait",
    "patience",
    type=Duration(),
    default=0.0,
    help="How long to wait for rollouts on their way, as 10m; a job is held for as long.",
)
@options.as_json
@options.everywhere
def ready(before_it: tuple[str, ...], patience: float, as_json: bool) -> int:
    """See that stacks have what is checked out, and that its rollouts there are through; then what comes next may be approved.

    It ends with 75 while that is on its way, and with 1 where another commit is needed. Nothing is changed.
    """
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place
    from heliostat.cli.through import require_through
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.git import commit_of

    project = Place.here().require_project()
    commit = commit_of(project.root, os.environ)

    def look() -> None:
        there = stacks_here()  # it keeps what it has read
        for stack in before_it:
            require_through(there, project, stack, commit)

    try:
        look_until_there(look, patience)
    except (NotYetError, PermanentError) as error:
        if not as_json:
            raise
        code = Exit.TRY_LATER if isinstance(error, NotYetError) else Exit.FAILED
        say.out(json.dumps({"commit": commit, "ready": False, "why": str(error)}, indent=2))
        return code
    if as_json:
        say.out(json.dumps({"commit": commit, "ready": True, "why": None}, indent=2))
    else:
        say.out(f"{', '.join(before_it)}: through with {commit[:12]}.")
    return Exit.OK


@click.command("resume")
@click.argument("job", metavar="JOB")
@click.option("--before", "behind", required=True, metavar="JOB", help="The job that waits behind it, and is approved there.")
@_before
@click.option("--branch", metavar="NAME", help="The branch whose pushes are looked at; by default the one that CI runs for.")
@options.as_json
@options.everywhere
def resume(job: str, behind: str, before_it: tuple[str, ...], branch: str | None, as_json: bool) -> int:
    """Have the forge begin a job again that ended while rollouts were on their way (`ci ready`), once they are through.

    It is for a schedule. What waits behind it is approved as ever: nothing is applied by this.
    """
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place
    from heliostat.cli.through import what_is_in_the_way
    from heliostat.gitops.resuming import resumption
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git import branch_of

    found_branch = branch or branch_of(Place.here().require_project().root, os.environ)
    if not found_branch:
        raise UsageError("which branch's pushes? Name it with --branch: nothing is checked out as a branch")
    there = stacks_here()
    waits = [told for stack in before_it for told in what_is_in_the_way(there, stack)]
    begun = None
    if not waits:
        forge = open_forge(os.environ)
        found = resumption(forge.gates(found_branch, job, behind), job)
        begun = found.gate
        if begun is not None:
            forge.begin_again(begun)
        waits = [found.told]
    if as_json:
        told = None if begun is None else {"job": begun.job, "commit": begun.commit, "url": begun.url}
        say.out(json.dumps({"begun": told, "why": waits}, indent=2))
    else:
        say.out("\n".join(waits))
    return Exit.OK


def look_until_there(
    look: Callable[[], None],
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Look until what is on its way is there, but no longer than so.

    Raises:
        NotYetError: it still is.
    """
    until = clock() + seconds
    told = False
    while True:
        try:
            look()
        except NotYetError as error:
            if clock() + _LOOK_S > until:
                raise
            if not told:
                say.told(f"{error}\nwaiting, for {seconds:g} s at most")
            told = True
            sleep(_LOOK_S)
        else:
            return
