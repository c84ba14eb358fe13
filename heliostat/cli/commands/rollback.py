"""`heliostat rollback`: serve again what served before, or an entry of the ledger."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.rollouts import Desired, Status
    from heliostat.systems.controller_api import ControllerClient


@dataclass(frozen=True)
class _Goal:
    """What a rollback goes back to."""

    where: str
    """In words."""
    desired: Desired
    expected: str | None = None
    """Its fingerprint, where the controller chose it: it holds the controller to it."""


@click.command()
@options.application
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="An entry of the ledger; by default what served before.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is remembered, and told to whoever declares it again.")
@click.option("--detach", is_flag=True, help="Do not watch it to its end.")
@click.option("--pr", "pull_request", is_flag=True, help="Then open the pull request that reverts what it went back from.")
@options.yes
@options.stack
@options.everywhere
def rollback(
    application: str | None, to: int | None, reason: str, detach: bool, pull_request: bool, yes: bool, stack: str | None
) -> int:
    """Go back to the exact code, data, model and config that served before.

    What is rolled away from is not shipped again by the next `up`. APPLICATION may be left out where there is only one. With
    --pr a pull request then says so in the repository, as `heliostat ci reconcile` would: a pin of the model, or the files and
    the config of what serves again.
    """
    from heliostat.cli.exits import Exit, UsageError
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.watch import watch

    if pull_request and detach:
        raise UsageError("--pr tells how it ended: leave --detach out, or the pull request to `heliostat ci reconcile`")
    before = with_controller(stack, lambda client: status_of(client, application, stack))
    goal = _chosen(before.name, stack) if to is None else _named(before.name, to, stack)
    _agree(before, goal, yes)

    async def act(client: ControllerClient) -> int:
        from heliostat.spec.rollouts import RollbackRequest
        from heliostat.systems.git import actor

        wish = RollbackRequest(by=actor(os.environ), to=to, expected=goal.expected, reason=reason)
        status = await client.rollback(before.name, wish)
        if detach:
            say.out(say.runnable(f"{status.name}: going back; `heliostat rollout watch {status.name}` follows it."))
            return Exit.OK
        return await watch(client, status)

    code = with_controller(stack, act)
    if code == Exit.OK and pull_request:
        return _reverted(before.name, stack)
    return code


def _reverted(name: str, stack: str | None) -> int:
    """Have the repository say what serves: else the next change of anything would bring back what was rolled away from."""
    from heliostat.cli.commands.ci_reconcile import line_of, reconciliation_here
    from heliostat.cli.exits import Exit
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.ledger import newest_first
    from heliostat.cli.rollouts.locate import stacks_here, store_of
    from heliostat.gitops.reconciling import DIFFERING
    from heliostat.systems.objects import open_store

    own = stacks_here().name(stack)
    now = with_controller(stack, lambda client: status_of(client, name, stack))
    found = reconciliation_here("origin", None).reconcile(
        own.rpartition("/")[2], name, now, newest_first(open_store(store_of(stack)), name)
    )
    say.out(line_of(found))
    return Exit.FAILED if found.standing in DIFFERING else Exit.OK


def _chosen(name: str, stack: str | None) -> _Goal:
    """The controller's choice: it knows what is still warm, also while the object store is away."""
    from heliostat.cli.rollouts import messages
    from heliostat.cli.rollouts.access import with_controller

    found = with_controller(stack, lambda client: client.way_back(name))
    where = "what served before"
    if found.entry is not None and found.at is not None:
        where = f"entry {found.entry} of {messages.moment(found.at)}"
    return _Goal(f"{where}, whose replicas still run" if found.warm else where, found.desired, found.fingerprint)


def _named(name: str, number: int, stack: str | None) -> _Goal:
    """What an entry of the ledger says."""
    from heliostat.cli.rollouts import goals, messages
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.systems.objects import open_store

    entry, desired = goals.goal_of(open_store(store_of(stack)), name, number)
    return _Goal(f"entry {entry.number} of {messages.moment(entry.at)}", desired)


def _agree(status: Status, goal: _Goal, yes: bool) -> None:
    """Shows what it goes back to, and asks."""
    from heliostat.cli.exits import DeclinedError, UsageError
    from heliostat.cli.rollouts import ledger
    from heliostat.cli.rollouts.listing import pairs
    from heliostat.cli.session import is_interactive

    now = status.serving.label if status.serving else "nothing"
    say.out(f"{status.name}: {now} serves. It goes back to {goal.where}:")
    say.out(pairs(ledger.exact(goal.desired), "  "))
    if yes:
        return
    if not is_interactive():
        raise UsageError("--yes must be passed in to proceed when running in non-interactive mode")
    if not click.confirm(f"Roll {status.name} back to {goal.desired.version.label}?"):
        raise DeclinedError("confirmation declined, nothing was rolled back")
