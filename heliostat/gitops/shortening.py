"""Shortens Markdown of ours so that what is left of it is Markdown: tables and lists by rows, fences in their middle. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_LEAST: Final = 300
"""Characters below which a section tells nothing: rather fewer of them."""
_LEAST_ITEM: Final = 80
_BROKEN_END: Final = re.compile(r"(?:\\|\*+|&[#\w]*)$")
"""What the mark-up of words may be cut to: a mark without what it marks."""


def shortened(text: str, room: int) -> str:
    """A text of at most `room` characters: it loses the last rows of tables and lists, and the middle of fences, and says how
    much. What stands in the first of them stays longest. Empty where not even that fits.
    """
    if len(text) <= room:
        return text
    blocks = list(_blocks(text.split("\n")))
    least = [len(each.cut(0)) for each in blocks]
    left = room - sum(least) - (len(blocks) - 1)
    if left < 0:
        return ""
    parts = []
    for block, smallest in zip(blocks, least, strict=True):
        part = block.cut(smallest + left)
        left -= len(part) - smallest
        parts.append(part)
    return "\n".join(parts)


def fitted(sections: Sequence[tuple[int, str]], room: int, between: int) -> list[str]:
    """Sections, each with its rank, in at most `room` characters with `between` before each, in their order.

    The lowest ranks come first: a rank leaves a quarter of the room to those behind it, as far as they need it, and its own
    sections share what it has alike. One that is left with too little to tell anything is left out.
    """
    chosen: dict[int, str] = {}
    ranks = sorted({rank for rank, _ in sections})
    for rank in ranks:
        own = [number for number, (each, _) in enumerate(sections) if each == rank]
        behind = sum(len(text) + between for each, text in sections if each > rank)
        for number, text in _shared({number: sections[number][1] for number in own}, room - min(room // 4, behind), between):
            chosen[number] = text
            room -= len(text) + between
    return [chosen[number] for number in sorted(chosen)]


def _shared(texts: dict[int, str], room: int, between: int) -> Iterator[tuple[int, str]]:
    """The texts that fit, by their numbers: the short ones whole, the others alike."""
    if sum(len(text) + between for text in texts.values()) > room:
        texts = dict(list(texts.items())[: max(1, room // _LEAST)])
    for left, (number, text) in enumerate(sorted(texts.items(), key=lambda each: len(each[1]))):
        part = shortened(text, room // (len(texts) - left) - between)
        if part:
            yield number, part
            room -= len(part) + between


class _Block(Protocol):
    def cut(self, room: int) -> str:
        """It in at most so many characters; at least what says that something is left out, however little the room."""


@dataclass(frozen=True)
class _Line:
    """A headline, a paragraph, or what opens or closes what is folded: it stays."""

    text: str

    def cut(self, room: int) -> str:
        return self.text


@dataclass(frozen=True)
class _Rows:
    """A table, or a list, which has no head."""

    head: Sequence[str]
    rows: Sequence[str]

    def cut(self, room: int) -> str:
        whole = "\n".join([*self.head, *self.rows])
        if len(whole) <= room:
            return whole
        kept, room = [*self.head], room - len("\n".join([*self.head, self._more(len(self.rows))]))
        for row in self.rows:
            if len(row) + 1 > room:
                break
            kept.append(row)
            room -= len(row) + 1
        left = len(self.rows) - (len(kept) - len(self.head))
        if not self.head and room > _LEAST_ITEM:
            kept.append(_begun(self.rows[-left], room - 1))
            left -= 1
        return "\n".join([*kept, *([self._more(left)] if left else [])])

    def _more(self, count: int) -> str:
        if not self.head:
            return f"- and {count} more"
        return f"| and {count} more |{' |' * (self.head[1].count('|') - 2)}"


@dataclass(frozen=True)
class _Fence:
    ticks: str
    text: str

    def cut(self, room: int) -> str:
        whole = f"{self.ticks}\n{self.text}\n{self.ticks}"
        if len(whole) <= room:
            return whole
        note = f"[… {len(self.text)} characters are left out …]"
        kept = max(0, room - 2 * len(self.ticks) - len(note) - 4)
        note = f"[… {len(self.text) - kept} characters are left out …]"
        begin, end = self.text[: kept - kept // 2], self.text[len(self.text) - kept // 2 :]
        return "\n".join([self.ticks, begin, note, end, self.ticks])


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```") and line in lines[at + 1 :]:
            end = lines.index(line, at + 1)
            yield _Fence(line, "\n".join(lines[at + 1 : end]))
            at = end + 1
        elif line.startswith(("| ", "- ")):
            end = next((each for each in range(at, len(lines)) if not lines[each].startswith(line[:2])), len(lines))
            heads = 2 if line.startswith("|") else 0
            yield _Rows(lines[at : at + heads], lines[at + heads : end])
            at = end
        else:
            yield _Line(line)
            at += 1


def _begun(item: str, room: int) -> str:
    """The beginning of an item of a list: up to a space, where it has one, for within a word mark-up may stand."""
    begun = item[: room - 2]
    cut = begun.rpartition(" ")[0] if " " in begun[_LEAST_ITEM // 2 :] else begun
    while _BROKEN_END.search(cut):
        cut = _BROKEN_END.sub("", cut)
    return f"{cut} …"
