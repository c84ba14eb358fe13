"""Everything that the commands write: no control sequence of somebody else's, and no secret in what a command says itself.

Names of resources, messages of programs and providers, reasons that a colleague gave, keys of a config: all may hold an escape
sequence that repaints the screen, sets the window's title or hides a line. Colours are dropped, all else is shown as text
(`\\x1b`). What a pipe gets as data is left as it is.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from heliostat.engine.masking import Masker

if TYPE_CHECKING:
    from rich.console import Console

_COLOUR = re.compile(r"(?:\x1b\[|\x9b)[0-9;:]*m")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_IN_LINE = re.compile("[\t\n]")
_REDRAWN = re.compile(r"^[^\n]*\r(?=[^\n\r])", re.MULTILINE)

masker = Masker()
"""The secrets that this command has met."""


_called = ("heliostat", "")
_HINT = re.compile(r"`heliostat ([a-z][^`]*)`")
_BARE_HINT = re.compile(
    r"(?<![`\w./-])heliostat (?=(?:rollout|history|rollback|up|stack|state|config|cancel|status|doctor|open|logs|predict|proto"
    r"|client|contract)\b)"
)
_OF_NO_STACK = ("stack ls", "stack init", "stack select", "rollout dashboard", "about", "completion")


def begin(command: str = "heliostat", stack: str = "") -> Masker:
    """Forgets a command before, where one process runs several; takes note of how this one is called, and for which stack."""
    global masker, _called
    masker, _called = Masker(), (command, stack)
    return masker


def runnable(text: str) -> str:
    """A text whose hints (`heliostat …`) can be run as they are told: by the command's path, on the stack that was named."""
    command, stack = _called
    if "heliostat " not in text or _called == ("heliostat", ""):
        return text
    text = _BARE_HINT.sub(lambda _: f"{command} ", text)
    return _HINT.sub(lambda found: f"`{command} {found.group(1)}{_flag(found.group(1), stack)}`", text)


def _flag(hint: str, stack: str) -> str:
    said = not stack or re.search(r"(^| )(-s|--stack)\b", hint) or hint.startswith(_OF_NO_STACK)
    return "" if said else f" -s {stack}"


def clean(text: str) -> str:
    """A text as a terminal may have it: lines and tabs stay, colours go, other control characters are shown by number."""
    if text.isprintable():
        return text
    text = _REDRAWN.sub("", _COLOUR.sub("", text).replace("\r\n", "\n"))
    return _CONTROL.sub(_shown, text)


def line(text: str) -> str:
    """The same on one line, for a name in a table or a tree."""
    return text if text.isprintable() else _IN_LINE.sub(_shown, _CONTROL.sub(_shown, _COLOUR.sub("", text)))


def _shown(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()


def out(text: str, *, nl: bool = True) -> None:
    """Data on standard output: as it is for a pipe, clean for a terminal."""
    sys.stdout.write((clean(text) if sys.stdout.isatty() else text) + "\n" * nl)
    sys.stdout.flush()


def told(text: str, *, nl: bool = True) -> None:
    """A line of the command's own, which is no data, on standard error."""
    sys.stderr.write(clean(masker.text(runnable(text))) + "\n" * nl)
    sys.stderr.flush()


def console(**options: Any) -> Console:
    """Rich's console for text that is not markup; it ends no process where its reader has gone."""
    from rich.console import Console
    from rich.segment import Segment

    class Guarded(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "its reader has gone")

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=clean(segment.text))

    return Guarded(highlight=False, markup=False, emoji=False, **options)
