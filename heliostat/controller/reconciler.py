"""The loop: observe, decide, record, act. Every look begins with what is, so it does not matter who was killed when."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

import httpx

from heliostat.controller.deploying import serve_application
from heliostat.controller.golden import GoldenTests
from heliostat.controller.observing import Golden, observe, serve_name, still
from heliostat.controller.store import Store
from heliostat.controller.traffic import Place, Traffic, Wanted
from heliostat.rollout.actions import admitted
from heliostat.rollout.decide import decide, declare, delete
from heliostat.rollout.model import Action, Colour, DeployColour, Observed, RetireColour, SetShare, State, TestGolden
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.rollouts import Desired, Phase
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.haproxy_config import Server, serve_prefix
from heliostat.systems.ray_serve import ServeClient, ServeInstance

_log = logging.getLogger(__name__)

BUSY_SECONDS = 0.2
"""Between looks while something is on its way."""
IDLE_SECONDS = 2.0
"""Between looks while all is as it shall be: HAProxy's own probes and retries cover what happens in between."""
AWAY_SECONDS = 1.0
"""Between looks while the cluster does not answer."""
FRESH_SECONDS = 0.15
"""How old Serve's account may be where nothing was asked of it since."""


@dataclass
class Reconciler:
    """All applications of one cluster."""

    store: Store
    serve: ServeClient
    traffic: Traffic
    client: httpx.AsyncClient
    settings: ControllerSettings
    states: dict[str, State] = field(default_factory=dict)
    observed: dict[str, Observed] = field(default_factory=dict)
    ray_answers: bool = False
    _instance: ServeInstance | None = None
    _read_at: float = 0.0
    _golden: dict[str, Golden] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _complaint: str = ""

    def __post_init__(self) -> None:
        self.states = self.store.states()
        self._golden = {name: self.store.golden(name) for name in self.states}
        self._tests = GoldenTests(self.client, self._tested)
        # Wall time for people, but no step of the clock may shorten or lengthen a wait.
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix time that never jumps while this process runs."""
        return time.monotonic() + self._offset

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    def declare(self, name: str, desired: Desired) -> None:
        """Take a new declaration; the next look begins with it."""
        state = self.states.get(name, State(name=name))
        self._keep(declare(state, desired, self.observed.get(name, Observed())))
        self.wake()

    def delete(self, name: str) -> None:
        """Take an application away."""
        self._keep(delete(self.states[name]))
        self.wake()

    async def news(self, seconds: float) -> None:
        """Return once something happened, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            self._wake.clear()
            delay = await self._guarded_look()
            if delay > 0:
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def look(self) -> float:
        """One look at everything; how long the next may wait, in seconds."""
        instance = await self._serve_instance()
        snapshot = await self.traffic.snapshot()
        changed = False
        wanted: dict[str, Wanted] = {}
        for name in list(self.states):
            if instance is None:
                self.observed[name] = still(self.observed.get(name, Observed()), name, snapshot)
                wanted[name] = self.traffic.as_before(name)
                continue
            self.observed[name] = observe(name, instance, snapshot, self._golden.get(name, {}))
            changed |= await self._decide(name)
            if name in self.states:
                wanted[name] = self._wanted(self.states[name], self.observed[name], instance)
        changed |= await self.traffic.apply(wanted, snapshot)
        if changed:
            await self._tell()
            return 0.005
        if instance is None:
            return AWAY_SECONDS
        return BUSY_SECONDS if any(map(self._busy, self.states.values())) else IDLE_SECONDS

    async def _guarded_look(self) -> float:
        try:
            delay = await self.look()
            self._complaint = ""
            return delay
        except (RetryableError, PermanentError) as error:
            # Once, not four times a second.
            if str(error) != self._complaint:
                _log.warning("%s", error)
            self._complaint = str(error)
            self._read_at = 0.0
            return 0.5
        except Exception:
            # One application that is not understood must not leave the others without anybody who follows their replicas.
            _log.exception("a look failed")
            self._read_at = 0.0
            return AWAY_SECONDS

    async def _serve_instance(self) -> ServeInstance | None:
        """What Serve runs; None while the cluster does not answer, and all stays as it is."""
        if self._instance is not None and time.monotonic() - self._read_at < FRESH_SECONDS:
            return self._instance
        try:
            self._instance = await self.serve.read()
            self._read_at, self.ray_answers = time.monotonic(), True
        except RetryableError as error:
            if self.ray_answers or not self._read_at:
                _log.warning("%s; what serves stays as it is", error)
            self._instance, self.ray_answers, self._read_at = None, False, time.monotonic()
        return self._instance

    async def _decide(self, name: str) -> bool:
        state, observed, now = self.states[name], self.observed[name], self.now()
        decision = decide(state, observed, now)
        for phase, text in decision.events:
            _log.info("%s: %s: %s", name, phase, text)
        if decision.gone:
            self._forget(name)
            return True
        if decision.state != state:
            self._keep(decision.state, decision.events)
        acted = False
        for action in decision.actions:
            acted |= await self._act(name, action)
        return acted or bool(decision.events) or decision.state != state

    async def _act(self, name: str, action: Action) -> bool:
        """Do it; whether the world may look different now."""
        match action:
            case SetShare(share):
                await self.traffic.set_share(name, share)
            case TestGolden(colour, replica):
                self._test(name, colour, replica)
                return False
            case RetireColour(colour):
                self._read_at = 0.0
                self._untest(name, colour)
                await self.serve.delete(serve_name(name, colour))
            case DeployColour():
                found = self._instance.applications.get(serve_name(name, action.colour)) if self._instance else None
                self._read_at = 0.0
                await self.serve.deploy(serve_application(name, action, self.settings, found))
        return True

    def _test(self, name: str, colour: Colour, replica: str) -> None:
        found = self._instance.applications.get(serve_name(name, colour)) if self._instance else None
        for each in found.replicas if found else ():
            if each.name == replica:
                url = f"http://{each.host}:{each.port}{serve_prefix(name, colour.value)}"
                self._tests.begin(name, colour, replica, url)

    def _tested(self, name: str, colour: Colour, replica: str, failure: str | None) -> None:
        if name in self.states:
            self.store.tested(name, colour, replica, failure)
            self._golden.setdefault(name, {})[colour, replica] = failure
            self.wake()

    def _untest(self, name: str, colour: Colour) -> None:
        self.store.untest(name, colour)
        golden = self._golden.get(name, {})
        self._golden[name] = {key: failure for key, failure in golden.items() if key[0] is not colour}

    def _keep(self, state: State, events: tuple[tuple[Phase, str], ...] = ()) -> None:
        self.store.save(state, events, self.now())
        self.states[state.name] = state

    def _forget(self, name: str) -> None:
        self.store.forget(name)
        self.states.pop(name, None)
        self.observed.pop(name, None)
        self._golden.pop(name, None)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _busy(self, state: State) -> bool:
        """Whether the next look should come soon."""
        rollout, observed = state.rollout, self.observed.get(state.name)
        if state.pending or state.deleting or observed is None:
            return True
        if rollout is not None and not rollout.ended:
            waits = rollout.phase is Phase.RETAINING and not rollout.sick_since
            return not waits or self._unwell(state, observed)
        return self._unwell(state, observed)

    def _unwell(self, state: State, observed: Observed) -> bool:
        colours = [colour for colour in Colour if state.slot(colour).desired is not None]
        return any(len(observed.seen(colour).usable) != state.slot(colour).replicas for colour in colours)

    def _wanted(self, state: State, observed: Observed, instance: ServeInstance) -> Wanted:
        def place(colour: Colour) -> Place:
            found = instance.applications.get(serve_name(state.name, colour))
            servers = tuple(Server(each.name, each.host, each.port) for each in found.replicas) if found else ()
            return Place(servers, admitted(state.slot(colour), observed.seen(colour)))

        return Wanted(state.share, place(Colour.BLUE), place(Colour.GREEN))
