"""What updates of a stack left that goes on by itself, beside its state: who comes later takes its end, and tells of it.

A file each stack. It is written under the stack's lock, at the end of each operation that has something to say about it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Protocol

from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.urns import Urn

_KEPT_SECONDS: Final = 30 * 86_400.0
"""How long it is known of what ended."""
DONE: Final = "done"
FAILED: Final = "failed"
REPLACED: Final = "replaced"


@dataclass(frozen=True)
class Work:
    """What goes on for a resource, or how it ended. Times are seconds since 1970."""

    urn: Urn
    message: str
    commit: str
    """Of the update that left it first; empty where no commit has what that declared."""
    since: float
    details: dict[str, str] = field(default_factory=dict)
    """What its provider says of it."""
    ended: float = 0.0
    """When an update took its end; 0 where none did."""
    result: str = ""
    """`done`, `failed`, or `replaced` where another took its place."""
    error: str = ""
    """Why it failed."""

    @property
    def job(self) -> str:
        """What it is called where it runs."""
        return self.details.get("job", self.message)

    @property
    def goes_on(self) -> bool:
        """Whether no update has taken its end yet."""
        return not self.ended


@dataclass(frozen=True)
class Record:
    """All that is known of a stack's."""

    works: tuple[Work, ...] = ()
    commit: str = ""
    """Of the update that is to be gone on with; empty where no commit has what it declares."""
    plan: str = ""
    """What that update is held to, as its file has it; empty where it is held to none."""
    stopped: str = ""
    """Why nobody goes on with it by himself: the update failed."""

    @property
    def going(self) -> tuple[Work, ...]:
        """What goes on, as far as anybody here knows."""
        return tuple(work for work in self.works if work.goes_on)


class Going(Protocol):
    """What an update left: `events.GoingOn`, which the state does not import."""

    @property
    def urn(self) -> Urn:
        """The resource that it is for."""

    @property
    def message(self) -> str:
        """What people are told of it."""

    @property
    def details(self) -> Mapping[str, str]:
        """What its provider says of it."""


class Result(Protocol):
    """How an update ended: `events.Summary`."""

    @property
    def succeeded(self) -> bool:
        """Whether all is done."""

    @property
    def failed(self) -> bool:
        """Whether something failed."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it."""

    @property
    def going(self) -> Sequence[Going]:
        """What it left."""

    @property
    def errors(self) -> Mapping[Urn, str]:
        """Why steps failed, by their resources."""


@dataclass(frozen=True)
class Ended:
    """An update that ended, and what it was asked."""

    result: Result
    commit: str = ""
    plan: str = ""
    is_partial: bool = False
    """It left resources alone (`--target`, `--exclude`)."""


def after(before: Record, update: Ended, now: float) -> Record:
    """The record after an update. Pure."""
    result = update.result
    if not (result.succeeded or result.going or result.failed):
        return before  # it was cut off, and nothing is known but what was known
    kept = [_seen(work, update, now) for work in before.works if not work.ended or work.ended > now - _KEPT_SECONDS]
    known = {(work.urn, work.job) for work in kept if work.goes_on}
    found = [Work(one.urn, one.message, update.commit, now, dict(one.details)) for one in result.going]
    kept += [work for work in found if (work.urn, work.job) not in known]
    if not any(work.goes_on for work in kept):
        return Record(tuple(kept))
    plan = update.plan or (before.plan if before.commit == update.commit else "")
    stopped = ""
    if result.failed and not result.cancelled:
        stopped = "; ".join(map(_first_line, result.errors.values())) or "the update failed"
    return Record(tuple(kept), update.commit, plan, stopped)


def _seen(work: Work, update: Ended, now: float) -> Work:
    """What was going on, as an update found it."""
    result = update.result
    if not work.goes_on or result.cancelled:
        return work
    there = next((one for one in result.going if one.urn == work.urn), None)
    if there is not None:
        return work if there.details.get("job", there.message) == work.job else replace(work, ended=now, result=REPLACED)
    if work.urn in result.errors:
        return replace(work, ended=now, result=FAILED, error=result.errors[work.urn])
    if result.failed or update.is_partial:
        return work  # the update may not have come to it
    return replace(work, ended=now, result=DONE)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def read(backend: Backend, ref: StackRef) -> Record:
    """A stack's record; an empty one where there is none, or it is damaged: the next update writes it anew."""
    content = backend.bucket.read(ref.going_on)
    try:
        return _decoded(json.loads(content)) if content is not None else Record()
    except (ValueError, TypeError, KeyError, AttributeError):
        return Record()


def keep(backend: Backend, ref: StackRef, update: Ended) -> list[Work]:
    """Write what an update leaves and what it took the end of; what others took the place of just now."""
    before, now = read(backend, ref), time.time()
    found = after(before, update, now)
    if found != before:
        content = {**asdict(found), "works": [asdict(work) for work in found.works]}
        backend.bucket.write(ref.going_on, json.dumps(content, ensure_ascii=False).encode())
    return [work for work in found.works if work.result == REPLACED and work.ended == now]


def forget(backend: Backend, ref: StackRef) -> None:
    """Remove the record of a stack that is gone."""
    backend.bucket.delete(ref.going_on)


def _decoded(said: Mapping[str, Any]) -> Record:
    works = tuple(Work(**each) for each in said["works"])
    return Record(works, str(said["commit"]), str(said["plan"]), str(said["stopped"]))
