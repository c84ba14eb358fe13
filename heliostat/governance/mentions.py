"""Takes what names a person out of texts: reports of monitors, their state, and logs of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from heliostat.governance.objects import Cleaned
from heliostat.governance.subjects import Subject
from heliostat.serving.hiding import hiding

_SLICE: Final = "=<personal>]"
_GONE: Final = "(a line that named a person whose rows were deleted)\n"


class Mentions:
    """A person in texts: hashed anywhere; in clear where it is quoted, or is the value of a slice, for a number, or a word, is
    in many texts that are nobody's."""

    def __init__(self, subject: Subject) -> None:
        value = subject.value
        self._whole = {value, *subject.tokens}
        self._slice = f"={value}]"
        self._parts = {*subject.tokens, f"'{value}'", f'"{value}"', repr(value), json.dumps(value)}
        self._hide = hiding(self._parts)
        word = re.compile(rf"(?<![\w@.-]){re.escape(value)}(?![\w@-])")
        self._word, self._tokens = word, subject.tokens

    def hidden(self, text: str) -> str:
        """A text without them."""
        if text in self._whole:
            return "<personal>"
        text = text.replace(self._slice, _SLICE)
        return self._hide(text) if any(part in text for part in self._parts) else text

    def without(self, content: bytes, as_log: bool = False) -> Cleaned | None:
        """JSON without them, in keys and in texts, which are logs or are not; None where it has none."""
        try:
            found = json.loads(content)
        except ValueError:
            return None
        hidden = self._without_lines if as_log else self.hidden
        changes = sum(hidden(text) != text for text in _texts(found))
        return Cleaned(json.dumps(_changed(found, hidden)).encode(), changes) if changes else None

    def without_lines(self, content: bytes) -> Cleaned | None:
        """A log without the lines that name them, one of which has their place; None where none does."""
        text = content.decode(errors="replace")
        kept = self._without_lines(text)
        return Cleaned(kept.encode(), kept.count(_GONE) - text.count(_GONE)) if kept != text else None

    def _without_lines(self, text: str) -> str:
        return "".join(_GONE if self._names(line) else line for line in text.splitlines(keepends=True))

    def _names(self, line: str) -> bool:
        return any(token in line for token in self._tokens) or self._word.search(line) is not None


def _changed(value: Any, hidden: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {hidden(name): _changed(each, hidden) for name, each in value.items()}
    if isinstance(value, list):
        return [_changed(each, hidden) for each in value]
    return hidden(value) if isinstance(value, str) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value
