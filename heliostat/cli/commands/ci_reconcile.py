"""`heliostat ci reconcile`: has the repository say again what serves, where something was rolled back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit

if TYPE_CHECKING:
    from heliostat.cli.rollouts.locate import Stacks
    from heliostat.gitops.model_card import Card
    from heliostat.gitops.reconciling import Reconciled, Reconciliation


@click.command("reconcile")
@click.option("--stack", "-s", "named", multiple=True, metavar="NAME", help="These stacks; by default the selected one.")
@click.option("--remote", default="origin", show_default=True, help="Where the branches are pushed to.")
@click.option("--base", metavar="BRANCH", help="What they are merged into; by default the remote's own branch.")
@options.as_json
@options.everywhere
def reconcile(named: tuple[str, ...], remote: str, base: str | None, as_json: bool) -> int:
    """Open a pull request for each application that went back while the repository still declares what it went back from.

    It pins the model that serves, or brings code and config back to the commit of what serves. It is meant for a schedule: run
    again it says the same, closes what is not needed any more, and leaves alone what somebody closed.
    """
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.gitops.reconciling import DIFFERING

    work = reconciliation_here(remote, base)
    done = [each for stack in named or (stacks_here().name(None),) for each in _reconciled(work, stack)]
    if as_json:
        say.out(json.dumps([asdict(each) for each in done], indent=2))
    else:
        say.out("\n".join(map(line_of, done)) or "No application is there.")
    return Exit.FAILED if any(each.standing in DIFFERING for each in done) else Exit.OK


def reconciliation_here(remote: str, base: str | None) -> Reconciliation:
    """The repository at hand and its forge, whose pull requests go into the remote's `base`, or into its own branch."""
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place
    from heliostat.gitops.reconciling import Reconciliation
    from heliostat.systems.forges.here import open_forge
    from heliostat.systems.git_branches import base_of

    project, stacks = Place.here().require_project(), stacks_here()
    into = base or base_of(project.root, os.environ, remote)
    return Reconciliation(project, os.environ, remote, into, open_forge(os.environ), lambda *of: _card(stacks, *of))


def _reconciled(work: Reconciliation, stack: str) -> Iterator[Reconciled]:
    """One application after the other; one that fails holds up no other, nor does a stack that does not answer."""
    from heliostat.cli.rollouts.access import declared_statuses
    from heliostat.cli.rollouts.ledger import newest_first
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.engine.errors import EngineError
    from heliostat.gitops.reconciling import Reconciled, Standing
    from heliostat.systems.errors import PermanentError, RetryableError
    from heliostat.systems.objects import open_store

    short = stack.rpartition("/")[2]
    try:
        store = open_store(store_of(stack))
        there = sorted(declared_statuses(stack).items())
    except (PermanentError, RetryableError, EngineError) as error:
        yield Reconciled(short, "", Standing.FAILED, str(error))
        return
    for name, status in there:
        try:
            yield work.reconcile(short, name, status, newest_first(store, name))
        except (PermanentError, RetryableError) as error:
            yield Reconciled(short, name, Standing.FAILED, str(error))


def _card(stacks: Stacks, version: str, stack: str) -> Card:
    from heliostat.cli.rollouts.locate import platform_of
    from heliostat.gitops.promotion import card_of

    return card_of(version, platform_of(stacks, stack)[1])


def line_of(each: Reconciled) -> str:
    """What came of an application, for people."""
    return f"{each.stack}: {each.workload or 'the stack'}: {each.standing}: {each.url or each.told}"
