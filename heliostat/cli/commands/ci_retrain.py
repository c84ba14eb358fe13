"""`heliostat ci retrain`: proposes a retraining as a commit."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit


class _Change(click.ParamType[tuple[str, Any]]):
    name = "place=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """A place below the workload and its value, which is read as YAML reads it."""
        import yaml

        if isinstance(value, tuple):
            return value
        place, equals, said = str(value).partition("=")
        if not (place and equals):
            self.fail(f"{value!r} is no change: write training.parameters.rounds=12", param, ctx)
        try:
            return place, yaml.safe_load(said)
        except yaml.YAMLError as error:
            self.fail(f"the value of {place} cannot be read: {' '.join(str(error).split())}", param, ctx)


@click.command("retrain")
@click.argument("workload")
@click.option("--stack", "-s", required=True, metavar="NAME", help="The stack that trains it.")
@click.option(
    "--set", "changes", multiple=True, required=True, type=_Change(), metavar="PLACE=VALUE", help="What is trained with."
)
@click.option("--reason", "reasons", multiple=True, required=True, metavar="TEXT", help="Why; may be given more than once.")
@click.option("--remote", default="origin", show_default=True, help="Where the branch is pushed to.")
@click.option("--base", metavar="BRANCH", help="What it is merged into; by default the remote's own branch.")
@options.as_json
@options.everywhere
def retrain(
    workload: str,
    stack: str,
    changes: tuple[tuple[str, Any], ...],
    reasons: tuple[str, ...],
    remote: str,
    base: str | None,
    as_json: bool,
) -> int:
    """Open a pull request by which WORKLOAD is trained again: a change of its part of the stack's config, and why.

    Nothing is trained by this: merging it, and the stack's next `up`, do that. Run again with the same it does nothing more,
    and what somebody closed is not opened again.
    """
    from heliostat.cli.session import Place
    from heliostat.gitops.retraining import RetrainingProposal, propose_retraining
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git_branches import base_of

    project = Place.here().require_project()
    into = base or base_of(project.root, os.environ, remote)
    proposal = RetrainingProposal(workload, stack, reasons, dict(changes))
    file = project.stack_file(stack)
    found = propose_retraining(proposal, project.root, os.environ, file, (remote, into), open_forge(os.environ))
    if as_json:
        say.out(json.dumps({"branch": proposal.branch, "url": found.url if found else None}, indent=2))
    elif found is None:
        say.out(f"{remote}/{into} says so already, or somebody closed this proposal: nothing is to be done.")
    else:
        say.out(f"Train {workload} again in {stack}: {found.url}")
    return Exit.OK
