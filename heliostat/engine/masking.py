"""Keeps secrets out of what is printed or recorded: every text passes a `Masker`, which knows the secrets of its operation.

A program may print a secret as it is, inside JSON, as a Python string's `repr` in a traceback, in an address, in base64, or
a line at a time; each of these forms is found. Like the official CLI, texts of fewer than three characters are no secrets to
look for: they would blot out half of what is told.
"""

from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heliostat.engine.events import (
    Diagnostic,
    Event,
    Outputs,
    PolicyRemediation,
    PolicyViolation,
    PropertyChange,
    StepFailed,
    StepLeft,
    StepStarted,
    StepSucceeded,
)
from heliostat.engine.state import snapshot as state
from heliostat.engine.state.snapshot import SECRET_SIGNATURE_KEY, UNKNOWN, Secret

if TYPE_CHECKING:
    import asyncio

MASK = "[secret]"
SHORTEST = 3
_SHORTEST_LINE = 6
_STEM = SHORTEST
_FEW = 128
_HELD_S = 0.3
_TELLING_NOTHING = frozenset({"true", "false", "True", "False", "null", "None", UNKNOWN, MASK})
"""Texts with hardly a bit in them, which stand everywhere."""


class Masker:
    """The secrets that an operation has met so far, and texts without them."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._words: dict[str, set[str]] = {}
        self._numbers: set[str] = set()
        self._tall: set[str] = set()

    def add(self, value: Any) -> None:
        """Takes note of a secret value; of an object or a list, of everything in it."""
        if isinstance(value, Secret):
            self.add(value.value)
        elif isinstance(value, str):
            self._add_text(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._add_number(value)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                if key != SECRET_SIGNATURE_KEY:
                    self.add(item)
        elif isinstance(value, list | tuple):
            for item in value:
                self.add(item)

    def add_all(self, value: Any) -> None:
        """Takes note of every `Secret` somewhere in a value."""
        if isinstance(value, Secret):
            self.add(value)
        elif isinstance(value, Mapping):
            for item in value.values():
                self.add_all(item)
        elif isinstance(value, list | tuple):
            for item in value:
                self.add_all(item)

    def _add_number(self, value: float) -> None:
        for text in (repr(value), repr(int(value)) if isinstance(value, float) and value.is_integer() else ""):
            if len(text) >= SHORTEST:
                self._numbers.add(text)
                self._words.setdefault(text[:_STEM], set()).add(text)

    def _add_text(self, text: str) -> None:
        if len(text) < SHORTEST or text in self._known or text in _TELLING_NOTHING:
            return
        self._known.add(text)
        found = set(_forms(text))
        lines = [line.strip() for line in text.splitlines()]
        if len(lines) > 1:
            unix = text.replace("\r\n", "\n")
            self._tall.add(unix)
            found.add(unix)
            for line in lines:
                found.update(_forms(line) if len(line) >= _SHORTEST_LINE else ())
        for form in found:
            self._words.setdefault(form[:_STEM], set()).add(form)

    def text(self, text: str) -> str:
        """The text with every secret in it masked; where two overlap, both are gone."""
        parts: list[str] = []
        start = end = 0
        for at in self._candidates(text):
            found = self._end(text, at)
            if found > at and at >= end:  # else it begins inside the one before, and may reach further
                parts += [text[start:at], MASK]
            if found > at:
                start = end = max(end, found)
        return "".join([*parts, text[start:]]) if parts else text

    def _candidates(self, text: str) -> list[int]:
        """Where secrets may begin. Nearly no text has any, and nearly all have to be found out quickly."""
        words = self._words
        if len(words) <= _FEW and not any(stem in text for stem in words):
            return []
        return [at for at in range(len(text) - _STEM + 1) if text[at : at + _STEM] in words]

    def _end(self, text: str, at: int) -> int:
        """Where the longest secret that begins at `at` ends; `at` where none does."""
        words = self._words.get(text[at : at + _STEM])
        if not words:
            return at
        found = (at + len(word) for word in words if text.startswith(word, at) and self._counts(word, text, at))
        return max(found, default=at)

    def _counts(self, word: str, text: str, at: int) -> bool:
        """Whether a text found is the secret: a number is only where it is no part of another number or word."""
        if word not in self._numbers or word in self._known:
            return True
        before, after = text[at - 1 : at], text[at + len(word) : at + len(word) + 1]
        return not (before.isalnum() or before == "." or after.isalnum())

    def may_go_on(self, text: str) -> bool:
        """Whether `text`, whole lines, ends inside a secret of several lines, so that what comes next belongs to it."""
        return any(_overlaps(text, secret) for secret in self._tall)

    def value(self, value: Any) -> Any:
        """A property value whose plain texts have no secrets in them; what is a `Secret` stays one."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def enclosed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Property values in which each plain text that holds a secret is a `Secret`."""
        return {key: self._enclosed(value) for key, value in values.items()}

    def _enclosed(self, value: Any) -> Any:
        if isinstance(value, str):
            return value if self.text(value) == value else Secret(value)
        if isinstance(value, Mapping):
            return self.enclosed(value)
        if isinstance(value, list | tuple):
            return [self._enclosed(item) for item in value]
        return value

    def copy(self) -> Masker:
        """A masker that knows what this one knows by now, and learns on its own."""
        return deepcopy(self)

    def event(self, event: Event) -> Event:
        """What an operation tells, masked."""
        if isinstance(event, Diagnostic | StepFailed | StepLeft | PolicyViolation):
            return replace(event, message=self.text(event.message))
        if isinstance(event, StepStarted):
            return replace(event, changes=self._changes(event.changes), inputs=self.value(event.inputs))
        if isinstance(event, PolicyRemediation):
            return replace(event, changes=self._changes(event.changes))
        if isinstance(event, StepSucceeded):
            return replace(event, outputs=self.value(event.outputs), changes=self._changes(event.changes))
        if isinstance(event, Outputs):
            return Outputs(self.value(event.old), self.value(event.new))
        return event

    def _changes(self, changes: tuple[PropertyChange, ...]) -> tuple[PropertyChange, ...]:
        return tuple(replace(one, old=self.value(one.old), new=self.value(one.new)) for one in changes)


def _forms(text: str) -> Iterator[str]:
    """A secret as programs write it."""
    raw = text.encode("utf-8", "surrogatepass")
    yield text
    for ascii_only in (True, False):
        inside = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield inside
        yield json.dumps(inside, ensure_ascii=ascii_only)[1:-1]  # JSON inside JSON
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    yield urllib.parse.quote(raw)
    yield urllib.parse.quote(raw, safe="")
    yield urllib.parse.quote_plus(raw)
    yield html.escape(text)
    yield shlex.quote(text).strip("'")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")


def _overlaps(text: str, secret: str) -> bool:
    """Whether `text` ends with a proper beginning of `secret` that holds whole lines of it."""
    at = secret.find("\n")
    while at != -1:
        if at + 1 < len(secret) and text.endswith(secret[: at + 1]):
            return True
        at = secret.find("\n", at + 1)
    return False


class Lines:
    """A stream that comes line by line, masked also where a secret goes over several lines."""

    def __init__(self, masker: Masker, tell: Callable[[str], None]) -> None:
        self._masker, self._tell = masker, tell
        self._held = ""
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, line: str) -> None:
        """Takes one line; it is told with the next ones where a secret may begin in it."""
        self._held += f"{line}\n"
        if self._timer:
            self._timer.cancel()
        if self._masker.may_go_on(self._held):
            import asyncio  # a loop runs, so somebody has: nobody waits for it here

            self._timer = asyncio.get_running_loop().call_later(_HELD_S, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Tells what was held back; the stream is over, or its next line is long in coming."""
        held, self._held = self._held, ""
        for line in self._masker.text(held).split("\n")[:-1] if held else ():
            self._tell(line)


@contextmanager
def watching(masker: Masker) -> Iterator[None]:
    """Has `masker` take note of every `Secret` that is made in this process meanwhile, wherever it comes from."""
    state.watchers.append(masker.add)
    try:
        yield
    finally:
        state.watchers.remove(masker.add)
