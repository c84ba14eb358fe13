"""Changes of what a backend runs, beside the loop: it may take minutes for one, and nobody's traffic waits for that.

One change at a time, so that none overtakes another: each is a whole declaration, and the later one must win. Nothing is
queued up. Every pass says anew what is to change, as it finds the world then; what has not begun by the next pass is what
that one says, or nothing. A change that is on its way counts as made (`overlay`): what is being taken away is no place
to send traffic to, and what is being put there is no reason to believe that nothing is left of an application.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from heliostat.controller.backends.serving import Deployments, ServingBackend
from heliostat.controller.observer import BackendObserver
from heliostat.rollout.model import Action, Colour, Condition, DeployColour, Observed, RetireColour, State
from heliostat.spec.endpoints import backend_name
from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
"""Until a change that failed is tried again, where it is still wanted."""


@dataclass(frozen=True)
class DeploymentChange:
    """One colour of an application that is to run otherwise."""

    application: str
    action: DeployColour | RetireColour

    @property
    def key(self) -> tuple[str, Colour]:
        """What it changes."""
        return self.application, self.action.colour

    @property
    def takes_away(self) -> bool:
        """Whether it gives capacity back."""
        return isinstance(self.action, RetireColour)


@dataclass
class _Begun:
    """A change that was begun."""

    wanted: DeployColour | None
    """What the backend is asked for; None where it is to go."""
    ended: int | None = None
    """The number that its end has among the changes; None while it is on its way."""
    failed: bool = False
    """What became of it is what the backend says next."""


@dataclass(frozen=True)
class _Failure:
    """How a colour's last change went wrong, and when, by the loop's clock."""

    text: str
    at: float


class DeploymentChanges:
    """All changes of one backend by this controller."""

    def __init__(
        self,
        backend: ServingBackend,
        observer: BackendObserver,
        begins: Callable[[DeploymentChange], None],
        made: Callable[[], None],
    ) -> None:
        """`begins` is called before a change is asked for, `made` after it was made."""
        self._backend = backend
        self._observer = observer
        self._begins = begins
        self._made = made
        self._waiting: tuple[DeploymentChange, ...] = ()
        self._begun: dict[tuple[str, Colour], _Begun] = {}
        """On their way, or too new for what was observed."""
        self._failures: dict[tuple[str, Colour], _Failure] = {}
        self._task: asyncio.Task[None] | None = None

    def take(self) -> tuple[DeploymentChange, ...]:
        """What has not begun, and will not: a pass begins, and while it lasts nothing else does."""
        waiting, self._waiting = self._waiting, ()
        return waiting

    def overlay(self, deployments: Deployments, knows: int) -> Deployments:
        """`deployments`, which show the changes up to number `knows`, as if those on their way were made already."""
        self._begun = {key: each for key, each in self._begun.items() if each.ended is None or each.ended > knows}
        return deployments.with_changes({key: each.wanted for key, each in self._begun.items() if not each.failed})

    def want(self, changes: Iterable[DeploymentChange]) -> None:
        """Have `changes` made, which a pass came to: of two for a colour the first.

        What takes capacity away comes before what needs it; what a change is on its way for waits for what comes of that.
        """
        first = dict[tuple[str, Colour], DeploymentChange]()
        for each in changes:
            if each.key not in self._begun:
                first.setdefault(each.key, each)
        self._waiting = tuple(sorted(first.values(), key=lambda each: not each.takes_away))
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    def forget(self, application: str) -> None:
        """An application is gone."""
        self._failures = {key: each for key, each in self._failures.items() if key[0] != application}

    async def quiet(self) -> None:
        """Return once nothing is on its way."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """End what is on its way, as if this program were killed."""
        self._waiting = ()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while (change := self._next()) is not None:
            self._waiting = tuple(each for each in self._waiting if each.key != change.key)
            await self._make(change)

    def _next(self) -> DeploymentChange | None:
        """What failed comes after what did not, the longest ago first: one that always fails must stop nothing else."""
        failed = {each.key: self._failures[each.key].at for each in self._waiting if each.key in self._failures}
        latest = asyncio.get_running_loop().time() - AGAIN_SECONDS
        ready = [each for each in self._waiting if failed.get(each.key, latest) <= latest]
        return min(ready, key=lambda each: failed.get(each.key, 0.0), default=None)

    async def _make(self, change: DeploymentChange) -> None:
        action = change.action
        try:
            self._begins(change)
            self._begun[change.key] = _Begun(action if isinstance(action, DeployColour) else None)
            if isinstance(action, DeployColour):
                await self._backend.deploy(change.application, action)
            else:
                await self._backend.retire(change.application, action.colour)
        except (RetryableError, PermanentError) as error:
            self._failed(change, str(error))
        except Exception as error:
            self._failed(change, f"{type(error).__name__}: {error}", error)
        else:
            self._failures.pop(change.key, None)
            self._begun[change.key].ended = self._observer.expire()
            self._made()

    def _failed(self, change: DeploymentChange, text: str, unexpected: Exception | None = None) -> None:
        """Say so, once for the same, and leave it to the next pass."""
        before = self._failures.get(change.key)
        if before is None or before.text != text:
            _log.warning("%s: %s", backend_name(*change.key), text, exc_info=unexpected)
        self._failures[change.key] = _Failure(text, asyncio.get_running_loop().time())
        self._begun[change.key] = _Begun(None, self._observer.expire(), failed=True)
        if change.takes_away:
            # A pass that makes a broken colour anew says so once.
            self._waiting = (*self._waiting, change)


def changes_in(actions: Iterable[tuple[str, Action]]) -> Iterator[DeploymentChange]:
    """What of a pass's decisions is for the backend. Pure."""
    for name, action in actions:
        if isinstance(action, (DeployColour, RetireColour)):
            yield DeploymentChange(name, action)


def deferred(
    left: Iterable[DeploymentChange], states: Mapping[str, State], observed: Mapping[str, Observed]
) -> Iterator[DeploymentChange]:
    """Of what has not begun, what is said once and not at every pass: to make anew what serves and is broken. Pure."""
    for each in left:
        state, seen = states.get(each.application), observed.get(each.application, Observed()).seen(each.action.colour)
        broken = seen.condition is Condition.FAILED and not seen.healthy
        if each.takes_away and broken and state is not None and state.live is each.action.colour:
            yield each
