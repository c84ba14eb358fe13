"""Accepted versions on their way to clients: the controller's own decisions and a person's approvals, over recorded requests.

Nothing runs and no time passes by itself: what decides (`heliostat.rollout`) is the controller's, what it decides about is
`heliostat.testing.simulation`'s cluster and router. What happened is written as a controller writes it: the ledger, and the
audit log of what people did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.cli.simulation.replays import ReplayRunner
from heliostat.cli.simulation.requests import Recorded, RecordedClients
from heliostat.controller.audit import event
from heliostat.controller.changes import progress
from heliostat.controller.ledger import entry
from heliostat.monitoring.windows import Micros
from heliostat.rollout import orders
from heliostat.rollout.model import Colour, State
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.audit import NOTHING, AuditEntry, content_of, hash_of
from heliostat.spec.audit import key_of as audit_key
from heliostat.spec.ledger import Entry, key_of
from heliostat.spec.roles import Identity, Permission, Role
from heliostat.spec.rollouts import ActionRequest, Desired, Phase
from heliostat.systems.objects import open_store
from heliostat.testing.simulation import RolloutSimulation, VersionBehaviour
from heliostat.testing.simulation.simulation import BEGINNING

APPROVER = Identity(name="simulated-approver", known=True, roles=(Role.APPROVER,))
"""Who lets rollouts go on."""
_EVERY_SECOND = 120
"""Looks with nothing to do that are a second apart; later ones are further apart."""
_LONGEST_SECONDS = 300.0
_QUIET_LOOKS = 10
"""After as many with nothing to do and no rollout, nothing happens until somebody wants something."""


@dataclass(frozen=True)
class Answering:
    """A version that can be asked."""

    desired: Desired
    answers: Callable[[pa.Table], Sequence[bytes]]
    """To rows, as JSON, one a row."""
    golden_failure: str = ""
    """Why it does not answer the contract's golden requests as it shall; empty where it does."""


class Rollouts(RolloutSimulation):
    """An application's rollouts, from a moment on.

    Args:
        address: The folder that is the object store.
        application: What it is called.
        recorded: What clients ask, and when.
        begin: When it begins.
        approve_after: How long a rollout waits until somebody approves; None: nobody ever does.
    """

    def __init__(
        self, address: StoreAddress, application: str, recorded: Recorded, begin: datetime, approve_after: timedelta | None
    ) -> None:
        super().__init__(application=application)
        self.now = begin.timestamp()
        self.clients = RecordedClients(moments=recorded.moments)
        self.analysis_runner = ReplayRunner(recorded, self._asked, address, application)
        self.entries: list[Entry] = []
        """Of the ledger, the oldest first."""
        self._store = open_store(address)
        self._approve_after = approve_after
        self._versions: dict[str, Answering] = {}
        self._last_audit: tuple[int, str] = (0, NOTHING)

    @property
    def serving(self) -> str:
        """The digest of the version that serves; during a rollout the old one's."""
        live = self.state.slot(self.state.live).desired if self.state.live is not None else None
        return live.version.digest if live is not None else ""

    @property
    def problem(self) -> str | None:
        """Why the newest rollout failed, or that it has not come to its end; None where all is well."""
        if self.rollout is None or self.rollout.phase is Phase.SUCCEEDED:
            return None
        return self.rollout.error or f"it is {self.rollout.phase.value}"

    def begin(self, version: Answering) -> None:
        """Declare a version.

        Raises:
            RefusedError: it was rolled back before.
        """
        digest = version.desired.version.digest
        self._versions[digest] = version
        self.declare(version.desired, VersionBehaviour(passes_golden=not version.golden_failure))

    def run_to(self, moment: datetime) -> None:
        """Let time pass up to a moment: the controller looks, clients ask, and who is waited for approves."""
        end, quiet = moment.timestamp(), 0
        while self.now < end:
            self._approve_where_due()
            quiet = 0 if self.reconcile() else quiet + 1
            over = quiet > _QUIET_LOOKS and not self.state.pending and (self.rollout is None or self.rollout.ended)
            pause = end - self.now if over else min(_LONGEST_SECONDS, max(1.0, 1.02 ** (quiet - _EVERY_SECOND)))
            self.advance(min(pause, end - self.now))

    def reconcile(self, acts: int | None = None) -> bool:
        """Look once; what is new of the ledger is written as the controller writes it."""
        before = len(self.ledger)
        happened = super().reconcile(acts)
        for _, record in self.ledger[before:]:
            made = entry(self.state, record, self.clock).model_copy(update={"number": len(self.entries) + 1})
            self.entries.append(made)
            self._store.put(key_of(made.application, made.number), made.model_dump_json().encode())
        return happened

    def story(self, since: int) -> tuple[str, ...]:
        """What happened from an event on, a line each, with its moment."""
        return tuple(
            f"{datetime.fromtimestamp(BEGINNING + each.seconds, UTC):%Y-%m-%d %H:%M} {each.phase}: {each.message}"
            for each in self.events[since:]
        )

    def answered_by(self, moments: Micros, draw: np.random.Generator) -> NDArray[np.str_]:
        """The digest of the version that answered each of some requests, by the ledger; empty where none did.

        A share of the traffic is drawn request by request, as the router draws it.
        """
        since = np.array([round(each.at * 1e6) for each in self.entries], dtype=np.int64)
        places = np.searchsorted(since, moments, side="right") - 1
        chance = draw.random(len(moments))
        found = np.full(len(moments), "", dtype="<U64")
        for place in np.unique(places[places >= 0]).tolist():
            here = np.flatnonzero(places == place)
            weights = self.entries[place].weights
            for digest, end in zip(weights, np.cumsum([*weights.values()]), strict=True):
                taken = here[(chance[here] < end) & (found[here] == "")]
                found[taken] = digest
        return found

    def _approve_where_due(self) -> None:
        rollout = self.rollout
        if rollout is None or rollout.phase is not Phase.WAITING or rollout.approved or self._approve_after is None:
            return
        if self.now < rollout.since + self._approve_after.total_seconds():
            return
        if not APPROVER.may(Permission.APPROVE, self.state.name):
            raise AssertionError(f"{APPROVER.name} may not approve")
        before, step = self.state, orders.approve(self.state, ActionRequest(by=APPROVER.name), self.clock)
        self._said(step)
        self._audited("rollout.approve", before, step.state)

    def _audited(self, action: str, before: State, after: State) -> None:
        """Write what a person did into the audit log, behind the last entry."""
        change = (progress(before), progress(after))
        told = event(APPROVER, action, self.state.name, self.clock, change=change)
        number, previous = self._last_audit
        content = content_of(AuditEntry(**told.model_dump(), number=number + 1, previous=previous))
        self._store.put(audit_key(number + 1), content)
        self._last_audit = (number + 1, hash_of(content))

    def _asked(self, colour: Colour, rows: pa.Table) -> Sequence[bytes]:
        desired = self.state.slot(colour).desired
        if desired is None:
            raise AssertionError(f"nothing is {colour.value}")
        return self._versions[desired.version.digest].answers(rows)
