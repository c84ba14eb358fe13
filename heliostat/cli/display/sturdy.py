"""A display that its reader may leave: an operation does not end half way because `head` has seen enough of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from heliostat.cli import say
from heliostat.cli.display.board import Board
from heliostat.engine.events import Event, Summary


class Display(Protocol):
    """What shows an operation; every method is called from one thread."""

    board: Board

    def start(self, title: str) -> None:
        """Begins, with a headline."""

    def __call__(self, event: Event) -> None:
        """Takes one event in."""

    def tick(self) -> None:
        """Draws, some times a second."""

    def notice(self, text: str) -> None:
        """A line of the command's own."""

    def pause(self) -> None:
        """Leaves the terminal to a question."""

    def resume(self) -> None:
        """Goes on after it."""

    def stop(self, result: Summary | None) -> None:
        """Ends; without a result the operation broke off."""


class Sturdy:
    """Passes everything on until standard output is gone, and then only keeps count."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._gone = False
        self.board = display.board

    def start(self, title: str) -> None:
        """Begins, with a headline."""
        self._safely(lambda: self._display.start(title))

    def __call__(self, event: Event) -> None:
        """Takes one event in."""
        if self._gone:
            self.board.apply(event)
        else:
            self._safely(lambda: self._display(event))

    def tick(self) -> None:
        """Draws, some times a second."""
        self._safely(self._display.tick)

    def notice(self, text: str) -> None:
        """A line of the command's own."""
        self._safely(lambda: self._display.notice(text))

    def pause(self) -> None:
        """Leaves the terminal to a question."""
        self._safely(self._display.pause)

    def resume(self) -> None:
        """Goes on after it."""
        self._safely(self._display.resume)

    def stop(self, result: Summary | None) -> None:
        """Ends; without a result the operation broke off."""
        self._safely(lambda: self._display.stop(result))

    def _safely(self, act: Callable[[], None]) -> None:
        if self._gone:
            return
        try:
            act()
        except OSError as error:
            self._gone = True
            with Path(os.devnull).open("wb") as nothing:
                os.dup2(nothing.fileno(), sys.stdout.fileno())
            say.told(f"warning: nothing more is shown, standard output is gone ({error}); the operation goes on")
