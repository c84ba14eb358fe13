"""Changes of Serve, beside the looks: Serve may take minutes for one, and nobody's traffic waits for that.

One change at a time, so that none overtakes another: each is a whole declaration, and the later one must win. Nothing is
queued up. Every look says anew what it wishes, as it finds the world then; what has not begun by the next look is what
that one wishes, or nothing. A change that is on its way counts as made (`laid_over`): what is being taken away is no place
to send traffic to, and what is being put there is no reason to believe that nothing is left of an application.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from heliostat.controller.account import Account
from heliostat.controller.deploying import serve_application
from heliostat.controller.observing import serve_name
from heliostat.rollout.model import Action, Colour, Condition, DeployColour, Observed, RetireColour, State
from heliostat.spec.controller import ControllerSettings
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_serve import ServeApplication, ServeClient, ServeInstance, ServeStatus

_log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
"""Until a change that failed is tried again, where it is still wished."""


@dataclass(frozen=True)
class Wish:
    """One colour of an application that is to be otherwise in Serve."""

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
class _Change:
    """A wish that was begun."""

    config: dict[str, Any] | None
    """What Serve is asked for; None where it is to go."""
    ended: int | None = None
    """The number that its end has among the changes; None while it is on its way."""
    failed: bool = False
    """What became of it is what Serve says next."""


@dataclass(frozen=True)
class _Failure:
    """How a colour's last change went wrong, and when, by the loop's clock."""

    text: str
    at: float


class ServeChanges:
    """All changes of one cluster's Serve by this controller."""

    def __init__(
        self,
        serve: ServeClient,
        settings: ControllerSettings,
        account: Account,
        begins: Callable[[Wish], None],
        made: Callable[[], None],
    ) -> None:
        """`begins` is called before a change is asked for, `made` after it was made."""
        self._serve = serve
        self._settings = settings
        self._account = account
        self._begins = begins
        self._made = made
        self._instance = ServeInstance({})
        self._waiting: tuple[Wish, ...] = ()
        self._changes: dict[tuple[str, Colour], _Change] = {}
        """On their way, or too new for the account."""
        self._failures: dict[tuple[str, Colour], _Failure] = {}
        self._task: asyncio.Task[None] | None = None

    def take(self) -> tuple[Wish, ...]:
        """What has not begun, and will not: a look begins, and while it lasts nothing else does."""
        waiting, self._waiting = self._waiting, ()
        return waiting

    def laid_over(self, instance: ServeInstance, knows: int) -> ServeInstance:
        """`instance`, which shows the changes up to number `knows`, as if those on their way were made already."""
        self._changes = {key: each for key, each in self._changes.items() if each.ended is None or each.ended > knows}
        made = {serve_name(*key): each.config for key, each in self._changes.items() if not each.failed}
        return laid_over(instance, made)

    def wish(self, wishes: Iterable[Wish], instance: ServeInstance) -> None:
        """Have `wishes` done, which a look at `instance` (with the changes laid over) came to: of two for a colour the first.

        What takes capacity away comes before what needs it; what a change is on its way for waits for what comes of that.
        """
        first = dict[tuple[str, Colour], Wish]()
        for each in wishes:
            if each.key not in self._changes:
                first.setdefault(each.key, each)
        self._waiting = tuple(sorted(first.values(), key=lambda each: not each.takes_away))
        self._instance = instance
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
        while (wish := self._next()) is not None:
            self._waiting = tuple(each for each in self._waiting if each.key != wish.key)
            await self._do(wish)

    def _next(self) -> Wish | None:
        """What failed comes after what did not, the longest ago first: one that always fails must stop nothing else."""
        failed = {each.key: self._failures[each.key].at for each in self._waiting if each.key in self._failures}
        latest = asyncio.get_running_loop().time() - AGAIN_SECONDS
        ready = [each for each in self._waiting if failed.get(each.key, latest) <= latest]
        return min(ready, key=lambda each: failed.get(each.key, 0.0), default=None)

    async def _do(self, wish: Wish) -> None:
        name, action, config = serve_name(*wish.key), wish.action, None
        try:
            if isinstance(action, DeployColour):
                found = self._instance.applications.get(name)
                config = serve_application(wish.application, action, self._settings, found)
            self._begins(wish)
            self._changes[wish.key] = _Change(config)
            await (self._serve.delete(name) if config is None else self._serve.deploy(config))
        except (RetryableError, PermanentError) as error:
            self._failed(wish, str(error))
        except Exception as error:
            self._failed(wish, f"{type(error).__name__}: {error}", error)
        else:
            self._failures.pop(wish.key, None)
            self._changes[wish.key].ended = self._account.expire()
            self._made()

    def _failed(self, wish: Wish, text: str, unexpected: Exception | None = None) -> None:
        """Say so, once for the same, and leave it to the next look."""
        before = self._failures.get(wish.key)
        if before is None or before.text != text:
            _log.warning("%s: %s", serve_name(*wish.key), text, exc_info=unexpected)
        self._failures[wish.key] = _Failure(text, asyncio.get_running_loop().time())
        self._changes[wish.key] = _Change(None, self._account.expire(), failed=True)
        if wish.takes_away:
            # A look that makes a broken colour anew says so once.
            self._waiting = (*self._waiting, wish)


def wishes(actions: Iterable[tuple[str, Action]]) -> Iterator[Wish]:
    """What of a look's decisions is for Serve. Pure."""
    for name, action in actions:
        if isinstance(action, (DeployColour, RetireColour)):
            yield Wish(name, action)


def held(left: Iterable[Wish], states: Mapping[str, State], observed: Mapping[str, Observed]) -> Iterator[Wish]:
    """Of what has not begun, what is wished once and not at every look: to make anew what serves and is broken. Pure."""
    for each in left:
        state, seen = states.get(each.application), observed.get(each.application, Observed()).seen(each.action.colour)
        broken = seen.condition is Condition.FAILED and not seen.healthy
        if each.takes_away and broken and state is not None and state.live is each.action.colour:
            yield each


def laid_over(instance: ServeInstance, changes: Mapping[str, dict[str, Any] | None]) -> ServeInstance:
    """`instance` as if `changes` were made, by the names in Serve: None takes one away. Pure.

    What runs already and is changed in place is as Serve says: nobody asks it for what it has not yet.
    """
    applications = dict(instance.applications)
    for name, config in changes.items():
        found = applications.get(name)
        if config is None and found is not None:
            applications[name] = replace(found, status=ServeStatus.DELETING, config=None, error="", replicas=())
        elif config is not None and (found is None or found.status is ServeStatus.DELETING):
            applications[name] = ServeApplication(
                name=name, status=ServeStatus.DEPLOYING, error="", config=config, deployments={}, replicas=(), leftover=0
            )
    return replace(instance, applications=applications)
