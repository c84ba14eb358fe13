"""`heliostat ci`: what a CI system asks about a change; it needs git, and neither a stack nor a credential."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit

if TYPE_CHECKING:
    from heliostat.gitops.affected import AffectedStack


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
    from heliostat.cli import checkout
    from heliostat.cli.session import Place
    from heliostat.gitops.validation import mistakes_in, stack_files

    project = Place.here().require_project()
    settings = checkout.read(project.root / checkout.FILE).environments
    mistakes = list(mistakes_in(project, settings))
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


def _lines(each: AffectedStack) -> list[str]:
    whole = [f"  all of it: {', '.join(each.whole)}"] if each.whole else []
    return [each.stack, *whole, *(f"  {name}: {', '.join(why)}" for name, why in each.workloads.items())]


def _told(each: AffectedStack) -> dict[str, object]:
    from heliostat.gitops.affected import first_part

    workloads = {name: {"why": list(why), "from": first_part(why)} for name, why in each.workloads.items()}
    return {"stack": each.stack, "whole": list(each.whole), "workloads": workloads}
