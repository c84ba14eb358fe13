"""`heliostat rollback`: serve an entry of the ledger again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from heliostat.cli import options

if TYPE_CHECKING:
    from heliostat.spec.rollouts import Status
    from heliostat.systems.controller_api import ControllerClient


@click.command()
@click.argument("application", required=False)
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="An entry of the ledger; by default what served before.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is remembered, and told to whoever declares it again.")
@click.option("--detach", is_flag=True, help="Do not watch it to its end.")
@options.yes
@options.stack
@options.everywhere
def rollback(application: str | None, to: int | None, reason: str, detach: bool, yes: bool, stack: str | None) -> int:
    """Go back to the exact code, data, model and config that served before.

    What is rolled away from is not shipped again by the next `up`. APPLICATION may be left out where there is only one.
    """
    from heliostat.cli.exits import Exit
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.watch import watch

    before = with_controller(stack, lambda client: status_of(client, application))
    number = _agreed(before, to, stack, yes)

    async def act(client: ControllerClient) -> int:
        from heliostat.spec.rollouts import GoBack
        from heliostat.systems.git import actor

        status = await client.rollback(before.name, GoBack(by=actor(os.environ), to=number, reason=reason))
        if detach:
            click.echo(f"{status.name}: going back; `heliostat rollout watch {status.name}` follows it.")
            return Exit.OK
        return await watch(client, status)

    return with_controller(stack, act)


def _agreed(status: Status, to: int | None, stack: str | None, yes: bool) -> int:
    """Shows what it goes back to, asks, and tells the entry's number."""
    from heliostat.cli.exits import DeclinedError, UsageError
    from heliostat.cli.rollouts import goals, ledger, words
    from heliostat.cli.rollouts.listing import pairs
    from heliostat.cli.rollouts.place import store_of
    from heliostat.cli.session import is_interactive
    from heliostat.systems.objects import open_store

    entry, desired = goals.goal_of(open_store(store_of(stack)), status, to)
    now = status.serving.label if status.serving else "nothing"
    click.echo(f"{status.name}: {now} serves. It goes back to entry {entry.number} of {words.moment(entry.at)}:")
    click.echo(pairs(ledger.exact(desired), "  "))
    if yes:
        return entry.number
    if not is_interactive():
        raise UsageError("--yes must be passed in to proceed when running in non-interactive mode")
    if not click.confirm(f"Roll {status.name} back to {desired.version.label}?"):
        raise DeclinedError("confirmation declined, nothing was rolled back")
    return entry.number
