"""`heliostat promote`: the version that one stack serves becomes another one's, by a pull request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit

if TYPE_CHECKING:
    from heliostat.gitops.promotion import Pin

_REMOTE = "origin"


@click.command("promote")
@click.argument("workload")
@click.option("--from", "source", metavar="STACK", help="The stack that serves the version now.")
@click.option("--to", "target", required=True, metavar="STACK", help="The stack whose config is to pin it.")
@click.option("--version", metavar="models:/NAME/N", help="Another version than the one that the stack serves.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the commit and the pull request.")
@click.option("--remote", default=_REMOTE, show_default=True, help="Where the branch is pushed to.")
@click.option("--base", metavar="BRANCH", help="What it is merged into; by default the remote's own branch.")
@options.as_json
@options.everywhere
def promote(  # noqa: PLR0913 - its options
    workload: str,
    source: str | None,
    target: str,
    version: str | None,
    reason: str,
    remote: str,
    base: str | None,
    as_json: bool,
) -> int:
    """Pin in a stack's config the exact version that another one serves, and open a pull request with its evaluation.

    Nothing is served by this: merging it, and the target's next `up`, do that. Comments and order of the config stay.
    """
    from heliostat.cli.exits import UsageError
    from heliostat.cli.rollouts.locate import platform_of, stacks_here
    from heliostat.gitops.promotion import Pin

    if (source is None) == (version is None):
        raise UsageError("name the stack to take the version from (--from), or the version itself (--version)")
    stacks = stacks_here()
    wanted = version or _served(stacks.outputs(str(source)), workload, str(source))
    where = f"It serves in {source}." if source else "It was named."
    pin = Pin(
        workload,
        target,
        wanted,
        f"promote/{workload}-to-{target}",
        f"Promote {wanted.removeprefix('models:/')} to {target}",
        f"{where} {reason}".strip(),
    )
    return _open(pin, platform_of(stacks, target)[1], remote, base, as_json)


def _served(outputs: Mapping[str, Any], workload: str, stack: str) -> str:
    from heliostat.systems.errors import PermanentError

    found = outputs.get(workload)
    if not isinstance(found, dict) or not found.get("modelUri"):
        raise PermanentError(f"the stack {stack} serves no {workload}: bring it up first, or name a --version")
    return str(found["modelUri"])


def _open(pin: Pin, platform: Mapping[str, Any], remote: str, base: str | None, as_json: bool) -> int:
    """Open the pull request of a pin, and say where it is; `platform` is what that of the serving stack exports."""
    from heliostat.cli.session import Place
    from heliostat.gitops.promotion import Pusher, card_of, propose, require_whole
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git_branches import base_of

    project = Place.here().require_project()
    file = project.stack_file(pin.stack)
    card = card_of(pin.version, platform)
    require_whole(card)
    forge = open_forge(os.environ)
    into = base or base_of(project.root, os.environ, remote)
    found = propose(pin, card, file, (remote, into), forge, Pusher(project.root, os.environ, file))
    if as_json:
        said = {"version": pin.version, "branch": pin.branch, "url": found.url if found else None}
        say.out(json.dumps(said, indent=2))
    elif found is None:
        say.out(f"{remote}/{into} pins {pin.version} in {file.name} already: nothing is to be done.")
    else:
        say.out(f"{pin.title}: {found.url}")
    return Exit.OK
