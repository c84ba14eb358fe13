"""The audit log: who did what to whom, one immutable object an entry, each with the hash of the one before it.

    ledger/audit-log/entries/<number, ten digits>.json

Whoever changes an entry, takes one out of the middle or puts one between breaks the chain. Whoever cuts off its end does not:
the controller keeps the numbers and hashes of the entries that it wrote in a database of its own, its anchor, and a person may
keep a head, `NUMBER:HASH`, wherever they like. Like the ledger it outlives the stack.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from heliostat.spec.base import Digest, Model, is_empty

PREFIX: Final = "ledger/audit-log/entries/"
NOTHING: Final = "0" * 64
"""The hash before the first entry."""
_KEY: Final = re.compile(rf"{re.escape(PREFIX)}([0-9]{{10}})\.json")

Action = Annotated[str, Field(pattern=r"^[a-z-]+\.[a-z-]+$")]
"""What was done, as `rollout.approve`, `rollout.abort`, `application.rollback`, `application.declare` (a promotion),
`application.delete`, `access.change`, `environment.extend`, `alarm.acknowledge`, `alarm.silence`, `task.retry`, `data.prune`,
`review.expire`, `person.erase-begin`, `person.erase`."""


class AuditEvent(Model):
    """Something that somebody did."""

    id: str
    """The same for the same happening, however often it is written."""
    at: float
    """Unix time, seconds."""
    by: str
    """Who: the name that a token stands for, or what a program that has the stack's own token says."""
    known: bool
    """Whether `by` is by a token; else it was only said."""
    via: str = Field(default="", exclude_if=is_empty)
    """Whose token it was, where that passed on what `by` wrote on a forge."""
    action: Action
    subject: str
    """What it was done to: an application, a branch's environment, or `access`."""
    reason: str = ""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}


class AuditEntry(AuditEvent):
    """The same at its place in the chain."""

    number: int
    """From 1."""
    previous: Digest
    """The hash of the entry before."""


class AuditHead(Model):
    """An entry's place in the chain, to be kept elsewhere."""

    number: Annotated[int, Field(ge=0)]
    hash: Digest

    def __str__(self) -> str:
        """As people keep it."""
        return f"{self.number}:{self.hash}"


class AuditAnchor(Model):
    """What a controller remembers of the entries that it wrote, by number."""

    hashes: dict[int, Digest] = {}
    waiting: int = 0
    """Entries that the object store has not taken yet."""

    @property
    def head(self) -> AuditHead | None:
        """The newest; None where it wrote none."""
        return AuditHead(number=(last := max(self.hashes)), hash=self.hashes[last]) if self.hashes else None


@dataclass(frozen=True)
class ChainFault:
    """Where the log is not as it was written."""

    number: int
    text: str


def key_of(number: int) -> str:
    """Where an entry lies in the object store."""
    return f"{PREFIX}{number:010d}.json"


def number_of(key: str) -> int | None:
    """The number of the entry that lies there; None of what is no entry."""
    fits = _KEY.fullmatch(key)
    return int(fits[1]) if fits else None


def hash_of(content: bytes) -> str:
    """The hash of an entry, as it is stored, to the byte."""
    return hashlib.sha256(content).hexdigest()


def content_of(entry: AuditEntry) -> bytes:
    """An entry as it is stored."""
    return json.dumps(entry.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def head_of(text: str) -> AuditHead:
    """A head as people keep it, `NUMBER:HASH`.

    Raises:
        ValueError: it is none.
    """
    number, _, found = text.partition(":")
    if not number.isdigit() or not re.fullmatch(r"[0-9a-f]{64}", found):
        raise ValueError(f"{text!r} is no head of an audit log: it is NUMBER:HASH, as `heliostat audit verify` shows it")
    return AuditHead(number=int(number), hash=found)


def faults_in(contents: Iterable[tuple[int, bytes]], anchors: Iterable[Mapping[int, str]]) -> Iterator[ChainFault]:
    """Everything that shows that a log was changed: `contents` by number, in their order, against the chain and `anchors`."""
    expected, before = 1, NOTHING
    hashes: dict[int, str] = {}
    for number, content in contents:
        if number != expected:
            missing = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
            yield ChainFault(expected, f"{missing} gone")
        if text := _fault(number, content, before if number == expected else None):
            yield ChainFault(number, text)
        hashes[number] = before = hash_of(content)
        expected = number + 1
    for anchor in anchors:
        yield from _unanchored(hashes, anchor, expected)


def _fault(number: int, content: bytes, before: str | None) -> str:
    """What is wrong with one entry; `before`: the hash of the one before it, where that is there."""
    try:
        entry = AuditEntry.model_validate_json(content)
    except ValueError:
        return "it is no entry any more"
    if entry.number != number:
        return f"it is entry {entry.number}, at another place"
    if before is not None and entry.previous != before:
        return "the entry before it is not the one that it was written after: one of them was changed"
    return ""


def _unanchored(hashes: Mapping[int, str], anchor: Mapping[int, str], end: int) -> Iterator[ChainFault]:
    """What an anchor knows otherwise; a gap before the `end` is told already."""
    for number, known in sorted(anchor.items()):
        if number not in hashes and number >= end:
            yield ChainFault(number, "it was written, and is gone: the end of the log was cut off")
        elif hashes.get(number, known) != known:
            yield ChainFault(number, "it is another entry than the one that was written")
