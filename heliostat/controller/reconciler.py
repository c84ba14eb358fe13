"""The loop: observe, decide, record, act. Every pass begins with what is, so it does not matter who was killed when."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import httpx

from heliostat.controller.action_executor import ActionExecutor
from heliostat.controller.analysis_runners import AnalysisRunners
from heliostat.controller.backends.routing import TrafficRouter
from heliostat.controller.backends.serving import Deployments, ServingBackend
from heliostat.controller.clock import Clock
from heliostat.controller.deployment_changes import DeploymentChange, DeploymentChanges, changes_in, deferred
from heliostat.controller.golden import GoldenAnswers, GoldenTests
from heliostat.controller.ledger import Ledger
from heliostat.controller.metering import Meter
from heliostat.controller.moving import Moves
from heliostat.controller.observer import BackendObserver
from heliostat.controller.observing import observe, still
from heliostat.controller.requeueing import IDLE_SECONDS, requeue_after
from heliostat.controller.routing import wanted
from heliostat.controller.state_writer import StateWriter
from heliostat.controller.store import Store
from heliostat.rollout import orders
from heliostat.rollout.actions import actions
from heliostat.rollout.decide import decide
from heliostat.rollout.degraded import fail_back_to_stable
from heliostat.rollout.model import GATHERING, Action, Colour, Decision, Evidence, Observed, Record, SetShare, State, Step
from heliostat.rollout.show import gathering
from heliostat.spec.audit import AuditEvent
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import TrafficSnapshot
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import ActionRequest, Declaration, Desired, Origin, RollbackRequest
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.traffic.routes import ApplicationRoute

_log = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""Between passes while the cluster does not answer."""
_AT_ONCE_SECONDS = 0.005
"""Until the next pass after one that changed something."""


@dataclass
class Reconciler:
    """All applications of one cluster."""

    store: Store
    backend: ServingBackend
    traffic: TrafficRouter
    client: httpx.AsyncClient
    settings: ControllerSettings
    ledger: Ledger
    states: dict[str, State] = field(default_factory=dict)
    observed: dict[str, Observed] = field(default_factory=dict)
    running: Deployments | None = None
    """What the backend runs, as the last pass found it; None while the cluster does not answer."""
    looked_at: float = field(default_factory=time.monotonic)
    """When the last pass began, monotonic."""
    _lost: set[str] = field(default_factory=set)
    _waiting: frozenset[str] = frozenset()
    """Of applications on a former cluster that does not answer: it is away for them alone."""
    _moved: dict[str, tuple[int, float]] = field(default_factory=dict)
    _moving: dict[str, tuple[int, float]] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _complaint: str = ""

    def __post_init__(self) -> None:
        self._golden = GoldenAnswers(self.store)
        self.meter = Meter(self.store)
        self.analysis_runners = AnalysisRunners(self.settings.analysis_module, self.settings.directory, self.wake)
        tests = GoldenTests(self.client, self._tested)
        self._clock = Clock(self.store)
        self._writer = StateWriter(self.store, self.now, self.ledger.wake)
        self.states = self._writer.states
        self._moves = Moves(self.backend, self._writer, self.store)
        self._executor = ActionExecutor(tests, self.analysis_runners, self.now)
        self._observer = BackendObserver(self.backend, self.now)
        self.changes = DeploymentChanges(self.backend, self._observer, self._begins, self.wake)

    @property
    def ray_answers(self) -> bool:
        """Whether the cluster answers."""
        return self._observer.answers

    @property
    def ray_error(self) -> str:
        """Why it does not; empty where it does."""
        return self._observer.error

    def now(self) -> float:
        """Unix time that never jumps."""
        return self._clock.now()

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    def declare(self, name: str, declaration: Declaration, acts: tuple[AuditEvent, ...] = ()) -> None:
        """Take a new declaration; the next pass begins with it.

        Raises:
            OrderError: it was rolled back before.
        """
        state, desired = self.states.get(name, State(name=name)), declaration.desired
        if declaration.retry_refused:
            state = orders.retry(state, desired)
        self._writer.write(orders.declare(state, desired, self._seen(name), declaration.origin), acts=acts)
        self.wake()

    def roll_back(self, name: str, desired: Desired, order: RollbackRequest, acts: tuple[AuditEvent, ...] = ()) -> None:
        """Have what an entry of the ledger names serve again; the next pass begins with it.

        Raises:
            OrderError: it serves already.
        """
        origin = Origin(by=order.by)
        state = orders.roll_back(self.states[name], desired, self._seen(name), order, self.now(), origin)
        self._writer.write(state, acts=acts)
        self.wake()

    def say(
        self,
        name: str,
        word: ActionRequest,
        order: Callable[[State, ActionRequest, float], Step],
        acts: tuple[AuditEvent, ...] = (),
    ) -> None:
        """Take a person's word on a rollout.

        Raises:
            OrderError: there is none that it could be on.
        """
        step = order(self.states[name], word, self.now())
        rollout = step.state.rollout
        ended = rollout is not None and rollout.ended
        records = (Record(EntryKind.END, step.state.entered),) if ended else ()
        self._writer.write(step.state, step.events, records, acts)
        self.wake()

    def delete(self, name: str, acts: tuple[AuditEvent, ...] = ()) -> None:
        """Take an application away."""
        self._writer.write(orders.delete(self.states[name]), acts=acts)
        self.wake()

    async def news(self, seconds: float) -> None:
        """Return once something happened, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """End what runs beside the loop, and keep what was counted."""
        await self.changes.close()
        await self.analysis_runners.close()
        for name in self.states:
            self.meter.save(name)

    async def run(self) -> None:
        """Reconcile, for ever."""
        while True:
            self._wake.clear()
            delay = await self._reconcile_safely()
            if delay > 0:
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def reconcile(self) -> float:
        """One pass over everything; how long the next may wait, in seconds."""
        left = self.changes.take()
        if self.store.faults.error:
            self.store.faults.attempt(self.store.probe)
        found = await self._observer.read()
        deployments = self.changes.overlay(found, self._observer.knows) if found is not None else None
        self.running = deployments
        snapshot = await self.traffic.snapshot()
        self._waiting = self._moves.look(deployments, snapshot) if deployments is not None else frozenset()
        names, changed, rest = list(self.states), False, list[tuple[str, Action]]()
        for name in names:
            there = None if name in self._waiting else deployments
            acted, later = await self._reconcile_application_safely(name, there, snapshot)
            changed |= acted
            rest += [(name, action) for action in later]
        if deployments is not None:
            self.changes.want([*changes_in(rest), *deferred(left, self.states, self.observed)])
            self._executor.begin([(self.states[name], self.observed[name], action) for name, action in rest], deployments)
            self.analysis_runners.sweep()
            await self._moves.release()
        else:
            self.analysis_runners.end_but(
                {name for name, each in self.states.items() if each.rollout and each.rollout.phase in GATHERING}
            )
        names = [name for name in names if name in self.states]
        changed |= await self.traffic.apply({name: self._wanted(name, deployments) for name in names}, snapshot)
        for name in names:
            self.meter.keep(self.states[name], self.now())
        if changed:
            await self._tell()
        if changed or deployments is None:
            return _AT_ONCE_SECONDS if changed else AWAY_SECONDS
        waits = (requeue_after(state, self.observed.get(name), self.now()) for name, state in self.states.items())
        return min(waits, default=IDLE_SECONDS)

    async def _reconcile_application_safely(
        self, name: str, deployments: Deployments | None, snapshot: TrafficSnapshot
    ) -> tuple[bool, tuple[Action, ...]]:
        """As `_reconcile_application`; one that is not understood leaves the others theirs, and its traffic as it is."""
        try:
            found = await self._reconcile_application(name, deployments, snapshot)
            self._lost.discard(name)
            return found
        except (RetryableError, PermanentError):
            raise
        except Exception:
            if name not in self._lost:
                _log.exception("%s is not understood; its traffic stays as it is", name)
            self._lost.add(name)
            return False, ()

    async def _reconcile_application(
        self, name: str, deployments: Deployments | None, snapshot: TrafficSnapshot
    ) -> tuple[bool, tuple[Action, ...]]:
        """Decide about one application and move its traffic; whether that changed anything, and what is left to do."""
        state, now = self.states[name], self.now()
        if self._writer.waits(name):
            self.store.faults.attempt(lambda: self._writer.flush(name))
        away = deployments is None
        seen = still(self._seen(name), name, snapshot)
        if deployments is not None:
            seen = observe(name, deployments, snapshot, self._golden.of(name))
        self.meter.record(state, seen, snapshot.counts, now, snapshot.parts)
        share, took = self._moved.get(name, (-1, 0.0))
        observed = self.observed[name] = replace(
            seen,
            watched_since=self._observer.since,
            shift_milliseconds=took if share == seen.share else None,
            evidence=self._evidence(state),
        )
        began = time.perf_counter()
        decision = fail_back_to_stable(state, observed, now) if away else decide(state, observed, now)
        if decision.gone:
            return self.store.faults.attempt(lambda: self._forget(decision.state, decision.records)), ()
        new = decision.state != state or decision.records
        page = (decision.state, decision.events, decision.records)
        if new and not self.store.faults.attempt(lambda: self._writer.write(*page)):
            # As if nothing had been decided.
            decision = Decision(state, () if away else actions(state, observed, now), ())
        return await self._carry_out(state, decision, began)

    async def _carry_out(self, state: State, decision: Decision, began: float) -> tuple[bool, tuple[Action, ...]]:
        name = state.name
        moves = [action for action in decision.actions if isinstance(action, SetShare)]
        if not moves:
            self._moving.pop(name, None)
        for action in moves:
            # Where some of the traffic plane lags behind, the same move is asked for again.
            share, since = self._moving.get(name, (action.share, began))
            since = since if share == action.share else began
            self._moving[name] = (action.share, since)
            await self.traffic.set_share(name, action.share)
            self._moved[name] = (action.share, round((time.perf_counter() - since) * 1000, 2))
        for phase, text in decision.events:
            _log.info("%s: %s: %s", name, phase, text)
        changed = bool(moves or decision.events or decision.state != state)
        return changed, tuple(action for action in decision.actions if not isinstance(action, SetShare))

    def _evidence(self, state: State) -> Evidence:
        found = gathering(state)
        if found is None:
            return Evidence()
        windows = self.meter.windows(state, found.began_at, found.seconds)
        return Evidence(windows, self.analysis_runners.figures(state.name, found.key), self.meter.before(state, found))

    async def _reconcile_safely(self) -> float:
        self.looked_at = time.monotonic()
        try:
            delay = await self.reconcile()
            self._complaint = ""
            return delay
        except (RetryableError, PermanentError) as error:
            # Once, not four times a second.
            if str(error) != self._complaint:
                _log.warning("%s", error)
            self._complaint = str(error)
            self._observer.expire()
            return 0.5
        except Exception:
            _log.exception("a pass failed")
            self._observer.expire()
            return AWAY_SECONDS

    def _begins(self, change: DeploymentChange) -> None:
        if change.takes_away:
            self._golden.forget(*change.key)

    def _tested(self, name: str, colour: Colour, replica: str, failure: str | None) -> None:
        if name in self.states:
            self._golden.take(name, colour, replica, failure)
            self.wake()

    def _forget(self, state: State, records: tuple[Record, ...]) -> None:
        name = state.name
        self._writer.forget(state, records)
        self.meter.forget(name)
        self._golden.drop(name)
        self.changes.forget(name)
        for kept in (self.observed, self._moved, self._moving):
            kept.pop(name, None)

    def _seen(self, name: str) -> Observed:
        return self.observed.get(name, Observed())

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _wanted(self, name: str, deployments: Deployments | None) -> ApplicationRoute:
        if deployments is None or name in self._lost | self._waiting or name not in self.observed:
            return self.traffic.as_before(name)
        return wanted(self.states[name], self.observed[name], deployments, self.traffic.affinity(name))
