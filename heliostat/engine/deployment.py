"""One operation on a stack: preview, update, refresh or destroy, from a decrypted snapshot to the next.

This is the engine's front door. What it needs of the world outside (where checkpoints are kept, other stacks'
outputs, how events are shown) comes in through small protocols.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from heliostat.engine.errors import EngineError
from heliostat.engine.events import Event, Summary
from heliostat.engine.planning.request import Kind, Options, Target
from heliostat.engine.protocol.builtin import StackReader
from heliostat.engine.session import Session
from heliostat.engine.state.journal import SnapshotSink

SECOND_CANCEL_POLL_S = 0.05

__all__ = ["EngineError", "Kind", "Options", "SnapshotSink", "StackReader", "Target", "run"]


async def run(
    kind: Kind,
    target: Target,
    options: Options,
    sink: Callable[[Event], None],
    snapshots: SnapshotSink | None,
    stacks: StackReader,
    cancel: asyncio.Event,
) -> Summary:
    """Runs one operation to its end and tells `sink` all that happens, from the thread of the event loop.

    `snapshots` is None only where nothing is to be kept (a preview). Setting `cancel` ends the operation in order: no
    new steps, plugins are told, what is under way finishes. Clearing and setting it again aborts what is still under way.
    Errors of the program, of a plugin or of a step are told as a `Diagnostic` and make `Summary.succeeded` False;
    EngineError is raised only for what makes the operation impossible before its first step.
    """
    started = time.monotonic()
    preview = kind == "preview" or options.preview_only
    session = Session(target, options, sink, None if preview else snapshots, stacks, preview=preview)
    work = asyncio.create_task(session.run(kind))
    watch = asyncio.create_task(_watch(cancel, session, work))
    try:
        await work
    except asyncio.CancelledError:
        if not session.aborted:
            raise
    finally:
        watch.cancel()
    op = session.op
    succeeded = not (op.errored or op.going or session.cancelled)
    seconds = time.monotonic() - started
    return Summary(succeeded, dict(op.counts), seconds, session.cancelled, tuple(op.going.values()), op.errored, op.errors)


async def _watch(cancel: asyncio.Event, session: Session, work: asyncio.Task[None]) -> None:
    await cancel.wait()
    telling = asyncio.create_task(session.cancel())
    while cancel.is_set():  # noqa: ASYNC110 (an Event tells when it is set, not when it is cleared)
        await asyncio.sleep(SECOND_CANCEL_POLL_S)
    await cancel.wait()
    telling.cancel()
    session.aborted = True
    work.cancel()
