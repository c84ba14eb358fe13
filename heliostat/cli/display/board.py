"""What is known of a running operation: one row a resource, made from events; pure but for the clock that it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from heliostat.cli.display.pricing import PlannedPrice
from heliostat.cli.say import clean, line
from heliostat.engine.events import (
    Diagnostic,
    Event,
    Op,
    Outputs,
    PolicyEvent,
    PolicyViolation,
    PropertyChange,
    StepFailed,
    StepLeft,
    StepStarted,
    StepSucceeded,
)
from heliostat.engine.state import urns
from heliostat.engine.state.urns import Urn


class Status(Enum):
    """How far a resource's step is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LEFT = "left"
    """What it began goes on without the operation."""


@dataclass
class Row:
    """One resource: `op` is what happens to it as a whole, `phase` the step that it is in."""

    urn: Urn
    op: Op
    phase: Op
    parent: Urn | None
    started: float
    status: Status = Status.RUNNING
    seconds: float = 0.0
    changes: tuple[PropertyChange, ...] = ()
    note: str = ""
    gone: bool = False
    """A look at the world found nothing of it; nobody deleted it now."""
    key: str = ""
    """Under which the board has it."""

    @property
    def type(self) -> str:
        """The resource's type."""
        return line(urns.type_of(self.urn))

    @property
    def name(self) -> str:
        """The resource's name."""
        return line(urns.name_of(self.urn))


HALVES = frozenset({Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED, Op.READ_REPLACEMENT, Op.DISCARD_REPLACED})


@dataclass
class Board:
    """All rows, in the order in which their resources were first told of.

    With `replacement_steps`, the halves of a replacement have rows of their own.
    """

    preview: bool
    clock: Callable[[], float] = time.monotonic
    rows: dict[Urn, Row] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    policies: list[PolicyEvent] = field(default_factory=list)
    outputs: Outputs | None = None
    replacement_steps: bool = False
    price: PlannedPrice | None = None
    """Where a price is to be told, of what is planned."""

    def apply(self, event: Event) -> None:
        """Takes one event in."""
        if isinstance(event, StepStarted):
            if self.price is not None:
                self.price.apply(event)
            self._start(event)
        elif isinstance(event, StepSucceeded):
            self._end(event.urn, event.op, event.seconds, Status.DONE, event.changes)
        elif isinstance(event, StepFailed):
            self._end(event.urn, event.op, event.seconds, Status.FAILED, ())
        elif isinstance(event, StepLeft):
            self._end(event.urn, event.op, event.seconds, Status.LEFT, ())
        elif isinstance(event, Diagnostic):
            self._tell(event)
        elif isinstance(event, Outputs):
            self.outputs = event
        else:
            self.policies.append(event)

    def _start(self, event: StepStarted) -> None:
        whole = self._whole(event.op)
        key = self._key(event.urn, event.op)
        row = self.rows.get(key)
        if row is None:
            self.rows[key] = row = Row(event.urn, whole, event.op, event.parent, self.clock(), key=key)
        row.phase, row.started, row.status, row.gone = event.op, self.clock(), Status.RUNNING, False
        if whole is not Op.SAME or row.op is Op.REFRESH:
            row.op = whole
        row.parent = event.parent or row.parent
        row.changes = event.changes or row.changes
        if self.preview:
            row.status = Status.DONE

    def _end(self, urn: Urn, op: Op, seconds: float, status: Status, changes: tuple[PropertyChange, ...]) -> None:
        key = self._key(urn, op)
        row = self.rows.get(key)
        if row is None:
            self.rows[key] = row = Row(urn, self._whole(op), op, None, self.clock(), key=key)
        row.status = status
        row.seconds += seconds
        row.note = ""
        row.changes = changes or row.changes
        if row.op is Op.REFRESH and op is not Op.REFRESH:  # what a refresh found out
            row.op = row.phase = op
            row.gone = op is Op.DELETE

    def _whole(self, op: Op) -> Op:
        return Op.REPLACE if op in HALVES and not self.replacement_steps else op

    def _key(self, urn: Urn, op: Op) -> str:
        return f"{urn}\n{op}" if op in HALVES and self.replacement_steps else urn

    def _tell(self, event: Diagnostic) -> None:
        if not event.ephemeral:
            if event.severity != "error" or event not in self.diagnostics:  # the program and the engine may tell of the same
                self.diagnostics.append(event)
        elif event.urn in self.rows:
            lines = clean(event.message).strip().splitlines()
            self.rows[event.urn].note = lines[-1] if lines else ""

    def counts(self) -> dict[Op, int]:
        """How many resources each operation has been done to."""
        found: dict[Op, int] = {}
        for row in self.rows.values():
            if row.status is not Status.DONE:
                continue
            found[row.op] = found.get(row.op, 0) + 1
        return found

    def is_gone(self, urn: Urn) -> bool:
        """Whether a look at the world found nothing of a resource."""
        row = self.rows.get(urn)
        return row is not None and row.gone

    def gone_of(self, deleted: int) -> int:
        """How many of so many that were counted as deleted are gone rather than deleted."""
        return max(0, deleted - sum(row.op is Op.DELETE and not row.gone for row in self.rows.values()))

    def of(self, status: Status) -> int:
        """How many rows have this status."""
        return sum(row.status is status for row in self.rows.values())

    def troubled(self) -> set[Urn]:
        """The resources that a warning, an error or a broken policy concerns."""
        broken = {event.urn for event in self.policies if isinstance(event, PolicyViolation)}
        return broken | {d.urn for d in self.diagnostics if d.urn and d.severity in {"warning", "error"}}

    def visible(self, limit: int, *, sames: bool, reads: bool = True) -> tuple[list[tuple[int, Row]], int]:
        """At most `limit` rows with their depth, parents before children, and how many more there would be.

        Unchanged resources are left out (unless `sames`), and those that are only read (unless `reads`), but for the
        parents of what is shown. Where not all fit, failed ones, those that go on and running ones come first, then what
        ended last.
        """
        troubled = self.troubled()
        wanted = [
            row
            for row in self.rows.values()
            if row.status in (Status.FAILED, Status.LEFT)
            or row.urn in troubled
            or not self._is_quiet(row.op, sames=sames, reads=reads)
        ]
        chosen = wanted
        if len(wanted) > limit:
            rank = {Status.FAILED: 0, Status.LEFT: 0, Status.RUNNING: 1, Status.DONE: 2}
            ends = {row.key: row.started + row.seconds for row in wanted}
            chosen = sorted(wanted, key=lambda row: (rank[row.status], -ends[row.key]))[:limit]
        shown = self._with_parents({row.key for row in chosen})
        while len(shown) > limit and len(chosen) > 1:
            chosen = chosen[: max(len(chosen) - (len(shown) - limit), 1)]
            shown = self._with_parents({row.key for row in chosen})
        return list(self._in_tree(shown)), len(wanted) - len(chosen)

    @staticmethod
    def _is_quiet(op: Op, *, sames: bool, reads: bool) -> bool:
        return (op is Op.SAME and not sames) or (op is Op.READ and not reads)

    def _with_parents(self, chosen: set[Urn]) -> set[Urn]:
        shown = set(chosen)
        for key in chosen:
            parent = self.rows[key].parent
            while parent and parent in self.rows and parent not in shown:
                shown.add(parent)
                parent = self.rows[parent].parent
        return shown

    def _in_tree(self, shown: set[Urn]) -> Iterator[tuple[int, Row]]:
        children: dict[Urn | None, list[Row]] = {}
        for row in self.rows.values():
            if row.key in shown:
                children.setdefault(row.parent if row.parent in shown else None, []).append(row)
        waiting = [(0, row) for row in reversed(children.get(None, []))]
        while waiting:
            depth, row = waiting.pop()
            yield depth, row
            waiting += [(depth + 1, child) for child in reversed(children.get(row.key, []))]
