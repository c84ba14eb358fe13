"""Follows a rollout to its end: a picture that moves at a terminal, lines elsewhere. Leaving ends nothing but the watching."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from heliostat.cli import say
from heliostat.cli.exits import Exit
from heliostat.cli.rollouts import messages, view
from heliostat.cli.session import is_watched
from heliostat.spec.rollouts import Phase, Rollout, Sample, Status
from heliostat.systems.controller_api import ControllerClient, serves_as_declared
from heliostat.systems.errors import PermanentError, RetryableError

_DRAW_S = 0.25
_EVENTS, _MARGIN_LINES = 12, 2
_SAMPLE_S = 1.0
_SHARE_OF_TIME = 0.1
"""At most this share of the time goes into fetching figures: those of a long rollout are long."""


class Screen(Protocol):
    """Where a rollout is shown."""

    def show(self, status: Status) -> None:
        """What is known now."""

    def measured(self, sample: Sample | None) -> None:
        """The newest figures."""

    def close(self) -> None:
        """Nothing more comes."""


class Picture:
    """A terminal."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.time) -> None:
        self._console = console
        self._clock = clock
        self._status: Status | None = None
        self._sample: Sample | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._live.start()

    def show(self, status: Status) -> None:
        """What is known now."""
        self._status = status
        self.draw()

    def measured(self, sample: Sample | None) -> None:
        """The newest figures."""
        self._sample = sample

    def draw(self) -> None:
        """To be called some times a second: times count down between two answers."""
        if self._status is not None:
            self._live.update(self._drawn(events=self._room()), refresh=True)

    def close(self) -> None:
        """Leaves the last picture on the screen."""
        self._live.stop()
        if self._status is not None:
            self._console.print(self._drawn(events=1000, short=False))

    def _room(self) -> int:
        """How many events fit below the rest."""
        rest = len(self._console.render_lines(self._drawn(events=0), pad=False))
        return max(0, min(_EVENTS, self._console.height - rest - _MARGIN_LINES))

    def _drawn(self, events: int, *, short: bool = True) -> RenderableType:
        assert self._status is not None  # noqa: S101 - only called with one
        return view.picture(self._status, self._sample, self._clock(), view.Look(events, short))


class Lines:
    """A pipe or a log: one line an event; what an analysis came to is an event, too."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._rollout = 0
        self._told = 0

    def show(self, status: Status) -> None:
        """Writes what is new."""
        rollout = status.rollout
        if rollout is None or rollout.number < self._rollout:  # an answer that was long on its way
            return
        if rollout.number != self._rollout:
            self._rollout, self._told = rollout.number, 0
            self._write(headline(status.name, rollout))
        for event in rollout.events:
            if event.number > self._told:
                self._told = event.number
                self._write(f"{messages.clock(event.at)}  {event.phase:<13}{event.message}")

    def measured(self, sample: Sample | None) -> None:
        """Figures come with the events that they lead to."""

    def close(self) -> None:
        """Nothing is kept back."""


class JsonLines:
    """A program: one line of JSON a change."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last = ""
        self._told = (0, 0)

    def show(self, status: Status) -> None:
        """Writes what is not as it was."""
        rollout = status.rollout
        told = (rollout.number, len(rollout.events)) if rollout is not None else (0, 0)
        text = status.model_dump_json()
        if text == self._last or told < self._told:  # an answer that was long on its way
            return
        self._last, self._told = text, told
        self._write(text)

    def measured(self, sample: Sample | None) -> None:
        """Figures are in the record, `rollout report --json`."""

    def close(self) -> None:
        """Nothing is kept back."""


def headline(name: str, rollout: Rollout) -> str:
    """One line that says which rollout it is."""
    who = messages.origin(rollout.origin)
    moved = f"{rollout.from_version or 'nothing'} -> {rollout.to_version}"
    return f"{name}: rollout {rollout.number}, {rollout.strategy.kind}, {moved}{f', by {who}' if who else ''}"


def console() -> Console:
    """Standard output; what is no terminal gets lines as long as they have to be."""
    wide = None if sys.stdout.isatty() else 160
    return say.console(soft_wrap=False, width=wide)


def screen(*, as_json: bool = False) -> Screen:
    """What standard output can show."""
    if as_json:
        return JsonLines(say.out)
    if is_watched():
        return Picture(console())

    def write(line: str) -> None:
        say.out(line)  # whoever reads a pipe reads along

    return Lines(write)


async def watch(client: ControllerClient, status: Status, *, to_the_end: bool = False, as_json: bool = False) -> int:
    """Shows the rollout of `status` until it has come to its result, or `to_the_end` of the old version's retention.

    Returns:
        The exit code: OK where the candidate has the traffic, FAILED where it was rolled back or superseded, CANCELLED where
        the watching was left.

    Raises:
        RetryableError: the controller stays away.
    """
    shown = screen(as_json=as_json)
    leaving = asyncio.Event()
    with _on_signals(leaving.set):
        follower = asyncio.create_task(_follow(client, status, shown, to_the_end))
        helpers = [asyncio.create_task(_measure(client, status.name, shown)), asyncio.create_task(_draw(shown))]
        leave = asyncio.create_task(leaving.wait())
        try:
            await asyncio.wait({follower, leave}, return_when=asyncio.FIRST_COMPLETED)
            if follower.done():
                shown.measured(await newest(client, follower.result()))
        finally:
            for task in (follower, leave, *helpers):
                task.cancel()
            await asyncio.gather(follower, leave, *helpers, return_exceptions=True)
            shown.close()
    if follower.cancelled():
        say.told(f"No longer watching; the rollout goes on. `heliostat rollout watch {status.name}` picks it up again.")
        return Exit.CANCELLED
    return ended(follower.result())


def ended(status: Status) -> int:
    """The exit code of a rollout that came to its result, with a word on it."""
    rollout = status.rollout
    if rollout is None:
        say.told(f"{status.name} has had no rollout yet.")
        return Exit.OK
    if rollout.phase in messages.SETTLED:
        if rollout.phase is Phase.RETAINING and rollout.until is not None:
            say.told(f"{rollout.to_version} serves; {rollout.from_version} is kept until {messages.moment(rollout.until)}.")
        return Exit.OK
    serving = status.serving.label if status.serving else "nothing"
    say.told(f"error: rollout {rollout.number} of {status.name} {messages.PHASES[rollout.phase]}; {serving} serves")
    return Exit.FAILED


def is_through(status: Status, *, to_the_end: bool = False) -> bool:
    """Whether there is nothing to wait for."""
    rollout = status.rollout
    if rollout is None:
        return True
    if status.pending:
        return False  # the next one is about to begin
    if status.desired is not None and status.desired.version.label != rollout.to_version:
        return serves_as_declared(status)
    return rollout.phase in ({Phase.SUCCEEDED} if to_the_end else messages.SETTLED)


async def _follow(client: ControllerClient, status: Status, shown: Screen, to_the_end: bool) -> Status:
    last = status
    async for one in client.follow(status.name, status):
        last = one
        shown.show(one)
        if is_through(one, to_the_end=to_the_end):
            break
    return last


async def _measure(client: ControllerClient, name: str, shown: Screen) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        with contextlib.suppress(RetryableError, PermanentError):  # whoever follows says that the controller is away
            status = await client.read(name)
            if status is not None:
                shown.measured(await newest(client, status))
                shown.show(status)
        await asyncio.sleep(max(_SAMPLE_S, (loop.time() - began) / _SHARE_OF_TIME))


async def newest(client: ControllerClient, status: Status) -> Sample | None:
    """The newest figures of the application's rollout; None where there are none, or they cannot be had now."""
    if status.rollout is None:
        return None
    with contextlib.suppress(RetryableError, PermanentError):
        record = await client.record(status.name, status.rollout.number)
        return record.samples[-1] if record is not None and record.samples else None
    return None


async def _draw(shown: Screen) -> None:
    while isinstance(shown, Picture):
        shown.draw()
        await asyncio.sleep(_DRAW_S)


@contextlib.contextmanager
def _on_signals(act: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def show_once(status: Status, sample: Sample | None) -> None:
    """Everything about an application, once."""
    shown = console()
    with shown.capture() as captured:
        shown.print(view.picture(status, sample, time.time()))
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
