"""What an update leaves that goes on by itself: noted beside the state, for the commands and jobs that come later."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from heliostat.cli import say
from heliostat.cli.exits import NotYetError
from heliostat.cli.session import Session
from heliostat.engine.deployment import Kind, Options
from heliostat.engine.events import Summary
from heliostat.engine.stackerrors import LockedError
from heliostat.engine.state import going, history, locks
from heliostat.gitops.commands import CONTINUES


@contextlib.contextmanager
def locked_for(session: Session) -> Iterator[None]:
    """Hold the stack for an operation.

    Raises:
        LockedError: another process does.
        NotYetError: it was to do the rest of an update, and another process does, or did meanwhile.
    """
    backend, ref, commit = session.place.backend, session.ref, session.place.environment.get(CONTINUES, "")
    if not commit:
        with locks.locked(backend.bucket, ref.full_name, say.told):
            yield
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.locked(backend.bucket, ref.full_name, say.told))
        except LockedError as error:
            raise NotYetError(str(error)) from None
        record = going.read(backend, ref)
        if not record.going or record.stopped or record.commit != commit:
            raise NotYetError(f"{ref.name} has nothing left of {commit[:12]}: another update was faster")
        yield


def note_what_goes_on(
    session: Session, kind: Kind, options: Options, plan: Path | None, result: Summary, origin: history.Origin
) -> None:
    """Note what an operation left, and whose end it took.

    Raises:
        StorageError: it cannot be written.
    """
    backend, ref = session.place.backend, session.ref
    is_partial = bool(options.targets or options.excludes)
    if kind == "destroy" and result.succeeded and not is_partial:
        going.forget(backend, ref)
    if kind != "update":
        return
    is_of_commit = origin.environment.get("git.dirty") == "false"
    hidden = {urn: say.masker.text(message) for urn, message in result.errors.items()}
    ended = going.Ended(
        dataclasses.replace(result, errors=hidden),
        origin.environment.get("git.head", "") if is_of_commit else "",
        plan.read_text(encoding="utf-8") if plan is not None else "",
        is_partial,
    )
    for work in going.keep(backend, ref, ended):
        say.told(
            f"{work.message.partition(';')[0]}, and nothing of {ref.name} waits for it any more; what it comes to is taken by "
            "whoever declares the same again"
        )
