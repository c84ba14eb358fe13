"""`heliostat cancel`."""

from __future__ import annotations

import click

from heliostat.cli import options, say
from heliostat.cli.exits import DeclinedError, UsageError
from heliostat.cli.remembering import close_killed
from heliostat.cli.session import Place, is_interactive
from heliostat.engine.state import locks


@click.command()
@options.stack_name
@options.stack
@options.yes
@options.everywhere
def cancel(name: str | None, stack: str | None, yes: bool) -> None:
    """Clear the lock of an operation that is gone, so that the stack can be changed again.

    An operation that is still running goes on and is no longer protected from others: end it first.
    """
    if name and stack:
        raise UsageError("name the stack once: as an argument or with -s")
    place = Place.here()
    ref = place.stack(name or stack)
    place.backend.read(ref)
    for lock in locks.held(place.backend.bucket, ref.full_name):
        say.told(f"lock: {lock.told()}")
    if is_interactive() and not yes and not click.confirm(f"Clear every lock of the stack {ref.name!r}?", err=True):
        raise DeclinedError("nothing was cleared")
    count = place.backend.cancel(ref)
    close_killed(place.backend, ref)
    done = f"The currently running update for '{ref.name}' has been canceled!"
    say.out(done if count else f"The stack '{ref.name}' was not locked.")
