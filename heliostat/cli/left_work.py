"""What updates of a stack left that goes on by itself, and who holds the stack, for commands that name several stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.cli import say

if TYPE_CHECKING:
    from heliostat.engine.state.going import Record


def left_of(stack: str) -> Record:
    """What is known of the work that updates of a stack left; nothing where only the official CLI reads its state."""
    from heliostat.cli.session import Place
    from heliostat.engine.stackerrors import StackError
    from heliostat.engine.state import going
    from heliostat.engine.state.backend import StackRef

    place = Place.here()
    try:
        return going.read(place.backend, StackRef.parse(stack, place.require_project().name))
    except StackError:
        return going.Record()


def wait_for_holder(stack: str, seconds: float) -> None:
    """Wait for whoever holds a stack."""
    from heliostat.cli.session import Place
    from heliostat.engine.stackerrors import StackError
    from heliostat.engine.state import locks
    from heliostat.engine.state.backend import StackRef

    place = Place.here()
    try:
        bucket = place.backend.bucket
    except StackError:
        return  # Only the official CLI reads that state, and it waits or refuses by itself.
    locks.wait_until_free(bucket, StackRef.parse(stack, place.require_project().name).full_name, seconds, say.told)
