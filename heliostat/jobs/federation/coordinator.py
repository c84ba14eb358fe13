"""The coordinator: tells each site what to do, takes what it sends, and closes rounds. One event loop, one training.

What a site is told that was taken lies in the object store before, and a step is over only once that is written down.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from heliostat.federated.messages import (
    Keys,
    Reason,
    Shares,
    Step,
    Task,
    TrainingNote,
    pack,
    packed_arrays,
    specs_of,
    unpack,
)
from heliostat.federated.rounds import OpenRound, Verdict, threshold_of, verdict
from heliostat.jobs.federation.aggregation import Aggregation, closed, layout_of
from heliostat.jobs.federation.journal import Journal, RoundRecord
from heliostat.jobs.federation.refusals import RefusedError, require_right
from heliostat.ml.federated import Federation
from heliostat.spec.federated import DeliveredPackage

_POLL_SECONDS: Final = 20.0
_BEFORE: Final[Mapping[Step, Step]] = {Step.SHARES: Step.KEYS, Step.MASKED: Step.SHARES, Step.REVEAL: Step.MASKED}
ABSENT: Final = "it did not answer in time"


class Coordinator:
    """One training, from where its journal is.

    Args:
        note: The training, as sites are told of it.
        federation: The workload's.
        sites: Who may take part.
        round_seconds: How long a site may take for a step.
        journal: What is kept.
        tell: Shows people a line.
        package: What sites may have besides.
    """

    def __init__(
        self,
        note: TrainingNote,
        federation: Federation,
        sites: frozenset[str],
        round_seconds: float,
        journal: Journal,
        tell: Callable[[str], None],
        package: DeliveredPackage | None = None,
    ) -> None:
        self._note, self._federation, self._sites = note, federation, sites
        self._round_seconds, self._journal, self._tell, self._package = round_seconds, journal, tell, package
        self._open = journal.open_round()
        self._answers = journal.answers(self._open)
        self._last = journal.last_round(self._open)
        initial = federation.initial(note.parameters)
        self.arrays: dict[str, NDArray[Any]] = dict(self._last[1] if self._last else initial)
        self._layout = layout_of(federation, initial, note.rules)
        self._step: Step | None = None
        self._absent: set[str] = set()
        self._abstained: dict[str, Reason] = {}
        self._changed = asyncio.Condition()
        self._boot, self._count = secrets.token_hex(4), 0
        self._closed = False

    @property
    def most_bytes(self) -> int:
        """Of a message that a site may send."""
        return 16 * self._layout.size + (1 << 20)

    @property
    def last_record(self) -> RoundRecord | None:
        """Of the round before the open one."""
        return self._last[0] if self._last else None

    # What sites ask

    async def task(self, site: str, version: str) -> bytes:
        """What a site is to do; where it knows that already, not before there is news or a while has passed."""
        async with self._changed:
            if site in self._absent:
                self._absent.discard(site)
                self._tell(f"{site} is back")
                self._news()
            if version == self._version and not self._closed:
                try:
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._changed.wait_for(lambda: version != self._version)
                except TimeoutError:
                    pass
            return self._task(site)

    async def accept(self, site: str, round_: int, attempt: int, step: Step, body: bytes) -> None:
        """Take what a site sent.

        Raises:
            RefusedError: it is of another round, sent twice with other content, or wrong.
        """
        async with self._changed:
            before = self._answers[step].get(site) if self._is_open(round_, attempt) else None
            if before is not None:
                if before == body:
                    return
                raise RefusedError(409, (str(step), f"{site} sent another one for round {round_} already, which counts"))
            self._require_open(site, round_, attempt, step)
            members = self._open.passed.get(Step.KEYS, ())
            require_right(step, body, self._layout, self._note.rules.max_norm, members, (*self._summed, *self._left))
            await asyncio.to_thread(self._journal.keep_answer, self._open, step, site, body)
            self._answers[step][site] = body
            self._abstained.pop(site, None)
            self._news()

    async def abstain(self, site: str, round_: int, attempt: int, reason: Reason) -> None:
        """Note that a site takes no part in an attempt."""
        async with self._changed:
            if self._is_open(round_, attempt) and self._abstained.get(site) != reason:
                self._abstained[site] = reason
                self._tell(f"{site} takes no part in round {round_}: {reason}")
                self._news()

    async def close(self) -> None:
        """Answer those that wait, and nobody waits from now on."""
        async with self._changed:
            self._closed = True
            self._news()

    # Rounds

    async def train(self, on_round: Callable[[RoundRecord], None]) -> None:
        """Make all rounds that are still to be made."""
        while not (self._last and self._last[0].last):
            record = await self._closed_round()
            await asyncio.to_thread(on_round, record)
        async with self._changed:
            self._step = None
            self._news()

    async def _closed_round(self) -> RoundRecord:
        while True:
            found = await self._aggregated()
            if found is not None:
                break
            self._tell(f"round {self._open.round} lost too many sites and begins again")
            await self._begin(self._open.again())
        left = {site: str(self._abstained.get(site, ABSENT)) for site in sorted(self._sites - {*found.sites})}
        record, arrays = await asyncio.to_thread(
            closed, found, self._federation, self.arrays, self._layout, self._note, self._open.round, left
        )
        await asyncio.to_thread(self._journal.close, self._open, record, arrays)
        self.arrays, self._last = arrays, (record, arrays)
        await self._begin(self._open.next(), kept=True)
        return record

    async def _aggregated(self) -> Aggregation | None:
        """What the sites sent, once it can be summed; None where the attempt lost too many."""
        rules = self._note.rules
        if not rules.secure_aggregation:
            await self._gathered(Step.FIT, rules.min_sites)
            return Aggregation(self._of(Step.FIT))
        await self._gathered(Step.KEYS, rules.min_sites)
        for step in (Step.SHARES, Step.MASKED, Step.REVEAL):
            if not await self._gathered(step, self._threshold):
                return None
        return Aggregation(
            self._of(Step.MASKED), self._context, self._members, self._left, {**self._of(Step.REVEAL)}, masked=True
        )

    async def _gathered(self, step: Step, required: int) -> bool:
        """Wait for a step's answers and write down whose count; False where the attempt has lost too many."""
        if step in self._open.passed:
            return True
        deadline, told = time.monotonic() + self._round_seconds, False
        async with self._changed:
            self._step = step
            self._news()
            while True:
                expected = self._expected(step)
                answered = expected & self._answers[step].keys()
                pending = expected - answered - self._absent - self._abstained.keys()
                left = deadline - time.monotonic()
                decision = verdict(step, len(answered), len(pending), required, left <= 0)
                if decision is not Verdict.WAIT:
                    break
                if not told and (left <= 0 or not pending):
                    told = True
                    self._tell(f"round {self._open.round} waits for sites: {len(answered)} of at least {required} answered")
                await self._news_within(left if left > 0 else None)
            if left <= 0:
                self._leave_out(pending)
            if decision is Verdict.GO_ON:
                self._open = self._open.after(step, frozenset(answered))
                await asyncio.to_thread(self._journal.keep_open, self._open)
            return decision is Verdict.GO_ON

    async def _news_within(self, seconds: float | None) -> None:
        version = self._version
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait_for(lambda: version != self._version)
        except TimeoutError:
            pass

    def _leave_out(self, sites: frozenset[str]) -> None:
        for site in sorted(sites - self._absent):
            self._tell(f"round {self._open.round} goes on without {site}: {ABSENT}")
        self._absent |= sites

    async def _begin(self, state: OpenRound, kept: bool = False) -> None:
        async with self._changed:
            self._open, self._abstained, self._step = state, {}, None
            self._answers = {step: {} for step in Step}
            if not kept:
                await asyncio.to_thread(self._journal.keep_open, state)
            self._news()

    # What is known

    def _task(self, site: str) -> bytes:
        step = self._step
        waits = Task(version=self._version, text=self.text, training=self._note, package=self._package)
        if step is None or site not in self._expected(step) or site in self._answers[step] or site in self._abstained:
            return pack(waits)
        fields: dict[str, Any] = {"step": step, "round": self._open.round, "attempt": self._open.attempt}
        if step in (Step.FIT, Step.KEYS):
            return pack(waits.model_copy(update={**fields, "arrays": specs_of(self.arrays)}), packed_arrays(self.arrays))
        boxes = {sender: boxes[site] for sender, boxes in self._boxes.items()} if step is Step.REVEAL else {}
        fields |= {"members": self._members, "threshold": self._threshold, "boxes": boxes}
        fields |= {"masking": self._open.passed.get(Step.SHARES, ()), "summed": self._summed, "left": self._left}
        return pack(waits.model_copy(update=fields))

    @property
    def text(self) -> str:
        """How far it is, in words."""
        if self._last is not None and self._last[0].last:
            return f"{self._note.name} is trained, in {self._last[0].round} rounds"
        return f"round {self._open.round} of at most {self._note.rules.rounds}"

    @property
    def _version(self) -> str:
        return f"{self._boot}-{self._count}"

    def _news(self) -> None:
        self._count += 1
        self._changed.notify_all()

    def _expected(self, step: Step) -> frozenset[str]:
        return frozenset(self._open.passed[_BEFORE[step]]) if step in _BEFORE else self._sites

    def _of(self, step: Step) -> dict[str, bytes]:
        return {site: self._answers[step][site] for site in self._open.passed[step]}

    @property
    def _members(self) -> dict[str, Keys]:
        return {site: unpack(Keys, body)[0] for site, body in self._of(Step.KEYS).items()}

    @property
    def _boxes(self) -> dict[str, dict[str, str]]:
        return {site: unpack(Shares, body)[0].boxes for site, body in self._of(Step.SHARES).items()}

    @property
    def _summed(self) -> tuple[str, ...]:
        return self._open.passed.get(Step.MASKED, ())

    @property
    def _left(self) -> tuple[str, ...]:
        masking = self._open.passed.get(Step.SHARES, ()) if self._summed else ()
        return tuple(sorted({*masking} - {*self._summed}))

    @property
    def _threshold(self) -> int:
        return threshold_of(len(self._open.passed[Step.KEYS]), self._note.rules.min_sites)

    @property
    def _context(self) -> bytes:
        return f"{self._note.digest}|{self._open.round}|{self._open.attempt}".encode()

    def _is_open(self, round_: int, attempt: int) -> bool:
        return (round_, attempt) == (self._open.round, self._open.attempt)

    def _require_open(self, site: str, round_: int, attempt: int, step: Step) -> None:
        if not self._is_open(round_, attempt):
            now = f"round {self._open.round}, attempt {self._open.attempt}"
            raise RefusedError(409, ("round", f"it is of round {round_}, attempt {attempt}, and {now} is open"))
        if step is not self._step or step in self._open.passed:
            raise RefusedError(409, ("step", f"`{step}` is not asked for now: the round has gone on, or was not as far yet"))
        if site not in self._expected(step):
            raise RefusedError(409, ("step", f"{site} has no part in this attempt any more"))
