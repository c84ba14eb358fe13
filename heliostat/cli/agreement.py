"""Asks before an update deletes what serves or holds data: a name that left a config is no wish to delete what it meant."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from heliostat.cli import say
from heliostat.cli.display.sturdy import Display
from heliostat.cli.session import is_interactive
from heliostat.engine.protocol.builtin import STACK_REFERENCE
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import is_provider_type, name_of

_LEFT_BEHIND = frozenset(f"heliostat:index:{name}" for name in ("Dataset", "TrainJob", "ModelVersion", "ExternalModel"))
"""Deleting these forgets them: objects, runs and models stay."""
_ALLOW = "allow it with `make up DELETE=1`, or `heliostat up` without --confirm-deletes"


def is_guarded(resource: Resource) -> bool:
    """Whether deleting it ends or destroys something."""
    kept = resource.external or resource.retain_on_delete or resource.pending_replacement
    ours = resource.custom and not is_provider_type(resource.type) and resource.type != STACK_REFERENCE
    return ours and not kept and resource.type not in _LEFT_BEHIND


class Agreement:
    """What the engine asks before it deletes; `cancel` ends the waiting for an answer."""

    def __init__(self, display: Display, cancel: asyncio.Event) -> None:
        self._display, self._cancel = display, cancel

    async def __call__(self, condemned: Sequence[Resource]) -> str:
        """Why nothing may be deleted; empty where it may."""
        guarded = [one for one in condemned if is_guarded(one)]
        if not guarded:
            return ""
        listed = "".join(f"\n  {one.type} {say.line(name_of(one.urn))}" for one in guarded)
        if not is_interactive():
            return f"these are no longer declared, and are not deleted without a word on it:{listed}\n{_ALLOW}"
        self._display.pause()
        try:
            agreed = await self._answer(f"These are no longer declared and will be deleted:{listed}\nDelete them? [y/N] ")
        finally:
            self._display.resume()
        return "" if agreed else f"declined; these are no longer declared and still there:{listed}"

    async def _answer(self, question: str) -> bool:
        say.told(question, nl=False)
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str] = loop.create_future()
        loop.add_reader(sys.stdin, lambda: None if line.done() else line.set_result(sys.stdin.readline()))
        cancelled = asyncio.ensure_future(self._cancel.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {line, cancelled}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return line.done() and line.result().strip().lower() in {"y", "yes"}
        finally:
            cancelled.cancel()
            loop.remove_reader(sys.stdin)
