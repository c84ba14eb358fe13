"""One operation on a stack: preview, update, refresh or destroy, from a decrypted snapshot to the next.

This is the engine's front door. What it needs of the world outside (where checkpoints are kept, other stacks'
outputs, how events are shown) comes in through small protocols.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from heliostat.engine.errors import EngineError
from heliostat.engine.events import Event, Summary
from heliostat.engine.journal import SnapshotSink
from heliostat.engine.providers import StackReader
from heliostat.engine.session import Session
from heliostat.engine.state import Snapshot
from heliostat.engine.urns import Urn

Kind = Literal["preview", "update", "refresh", "destroy"]
SECOND_CANCEL_POLL_S = 0.05

__all__ = ["EngineError", "Kind", "Options", "SnapshotSink", "StackReader", "Target", "run"]


@dataclass(frozen=True)
class Options:
    """How an operation is to run; the names are the CLI's flags.

    `parallel` bounds how many steps act at once. `targets` are URNs (empty: all; `**` and `*` match as in the CLI),
    `replace` those to replace even where nothing changed; `target_dependents` also lets what depends on a target change.
    `refresh` reads the world first, in the same operation. `preview_only` is for `refresh` and `destroy`: plan only.
    A plugin that has not said its port after `plugin_start_timeout_s` seconds is given up.
    """

    parallel: int = 16
    targets: tuple[Urn, ...] = ()
    target_dependents: bool = False
    refresh: bool = False
    continue_on_error: bool = False
    replace: tuple[Urn, ...] = ()
    preview_only: bool = False
    plugin_start_timeout_s: float = 60.0


@dataclass(frozen=True)
class Target:
    """The stack that an operation works on, and the program that declares it.

    `config` maps full keys (`namespace:name`) to decrypted values as the program reads them (objects as JSON);
    `config_secret_keys` names those that are secret. `main` is the program's directory, `runtime_options` the mapping
    `runtime.options` of Pulumi.yaml, `plugins` the directories of provider plugins by name. `environment` is the whole
    environment of the program and of the plugins. `previous` is the last checkpoint, decrypted.
    """

    project_name: str
    stack_name: str
    project_root: Path
    main: Path
    previous: Snapshot
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    config_secret_keys: tuple[str, ...] = ()
    runtime_options: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


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
    succeeded = not session.op.errored and not session.cancelled
    return Summary(succeeded, dict(session.op.counts), time.monotonic() - started, session.cancelled)


async def _watch(cancel: asyncio.Event, session: Session, work: asyncio.Task[None]) -> None:
    await cancel.wait()
    telling = asyncio.create_task(session.cancel())
    while cancel.is_set():  # noqa: ASYNC110 (an Event tells when it is set, not when it is cleared)
        await asyncio.sleep(SECOND_CANCEL_POLL_S)
    await cancel.wait()
    telling.cancel()
    session.aborted = True
    work.cancel()
