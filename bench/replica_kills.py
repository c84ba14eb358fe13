"""Requests that are lost where one replica after another is killed under load: real HAProxy, with the controller's own
configuration of it and its own way to bring servers in and out, before replicas as Serve runs them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from bench.answers import Answers
from bench.arrivals import busy
from bench.commands import MeasurementError, tail
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session
from bench.tiny import CODE, CONTRACT
from heliostat.rollout.model import Colour
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.controller import TRAFFIC_SERVICE, TrafficSettings
from heliostat.spec.endpoints import Endpoint, EndpointState, backend_name, route_prefix
from heliostat.spec.rollouts import ServingArguments, Version
from heliostat.spec.workload import Limits, PredictionLog
from heliostat.systems import haproxy, ports, processes
from heliostat.systems.errors import RetryableError
from heliostat.systems.haproxy_config import Plane, Route

KILLS = 80
CONNECTIONS = 8
REPLICAS = 2
SLOW_MS = (250.0, 500.0, 1000.0)
_APPLICATION, _COLOUR = "tiny", Colour.GREEN
_BACKEND = backend_name(_APPLICATION, _COLOUR)
_NOWHERE = "http://127.0.0.1:1"
_STEADY_S = 1.0
_WHOLE_S = 0.3
"""Up to so long both replicas serve before the next one is killed: kills must not keep time with the probes."""
_ALONE_S = 0.4
"""How long the other one serves alone before another is started."""
_COMES_S = 20.0
_GRACE_S = 5.0
_LOOK_S = 0.02
_REQUESTS_A_KILL = 500
"""With fewer, the replicas were not busy when they were killed."""


def replica_kills(session: Session) -> Iterable[Result]:
    """Two replicas under as much as a few connections can ask: one is killed, another one comes, and so on."""
    folder = session.folder / "kills"
    with plant(folder) as made, busy(made.url, CONNECTIONS, [{"x": 3}], folder / "load") as load:
        time.sleep(_STEADY_S)
        began = time.monotonic()
        asyncio.run(made.kill_one_after_another(KILLS))
        seconds = time.monotonic() - began
        time.sleep(_STEADY_S)
        answers = load.finish()
    if answers.requests < KILLS * _REQUESTS_A_KILL:
        raise MeasurementError(f"{answers.requests} requests with {KILLS} kills: the replicas were not busy")
    session.tell(f"{KILLS} kills in {seconds:.0f} s, {answers.requests:,} requests, {answers.failed_by_kind() or 'none'} lost")
    figures = {"kills": KILLS, "connections": CONNECTIONS, "replicas": REPLICAS, "kill_seconds": round(seconds, 1)}
    yield BY_NAME["serving/replica-kills"].result(answers.failed, **figures, load=answers.figures())
    counts = over(answers)
    longest = round(float(answers.latencies_ms.max()), 1)
    yield BY_NAME["serving/replica-kills-slow"].result(counts[SLOW_MS[0]], **figures, over_ms=counts, longest_ms=longest)


def over(answers: Answers) -> dict[float, int]:
    """How many requests took longer than each of `SLOW_MS`."""
    return {limit: int(np.count_nonzero(answers.latencies_ms > limit)) for limit in SLOW_MS}


@contextmanager
def plant(folder: Path) -> Iterator[Plant]:
    """HAProxy with two replicas that serve, for as long as the block takes.

    Raises:
        MeasurementError: they do not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runtime = processes.runtime_directory(folder)
    traffic = TrafficSettings()
    plane = Plane(
        "127.0.0.1",
        ports.claim(folder, "public"),
        folder,
        runtime,
        traffic.threads,
        traffic.max_connections,
        traffic.answer_timeout_seconds,
    )
    try:
        with forked_replicas(folder) as ask:
            # None is used twice: Serve's server cannot listen where connections of a dead one are still remembered.
            first = ports.claim(folder, "replicas", count=REPLICAS + KILLS)
            made = Plant(plane, ask, range(first, first + REPLICAS + KILLS))
            asyncio.run(made.start())
            yield made
    finally:
        asyncio.run(processes.stop(folder, TRAFFIC_SERVICE, grace_seconds=0.0))
        ports.release(folder)


@contextmanager
def forked_replicas(folder: Path) -> Iterator[Callable[[str], int]]:
    """What makes replicas and kills them; yields what tells it to."""
    (folder / "arguments.json").write_text(arguments(folder).model_dump_json(by_alias=True))
    argv = [sys.executable, "-m", "bench.forked_replicas", str(folder / "arguments.json")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(CODE), str(SOURCE))), "RAY_USAGE_STATS_ENABLED": "0"}
    log = folder / "forked-replicas.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command, as a list
            argv, cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip

    def ask(line: str) -> int:
        assert process.stdin and process.stdout  # noqa: S101 - both are pipes
        with suppress(BrokenPipeError):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise MeasurementError(f"what makes replicas ended at `{line}`")
        return int(answer)

    try:
        yield ask
    except MeasurementError as error:
        said = tail(log.read_text(errors="replace"))
        raise MeasurementError(f"{error}\n{said}") from error
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE_S)  # with the end of its stdin it ends its replicas and itself
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def arguments(folder: Path) -> ServingArguments:
    """What a replica of the small application is made with."""
    store = StoreAddress(uri=(folder / "objects").as_uri())
    version = Version(
        digest="0" * 64, label="1-kills", code_uri="file:///nowhere", contract=CONTRACT, model_uri=f"models:/{_APPLICATION}/1",
        tracking_uri=_NOWHERE, store=store, prediction_log=PredictionLog(), limits=Limits(),
    )  # fmt: skip
    return ServingArguments(
        application=_APPLICATION, route_prefix=route_prefix(_APPLICATION, _COLOUR), public_path=f"/{_APPLICATION}",
        replicas=REPLICAS, cpus_per_replica=0.1, max_ongoing_requests=64, version=version, spool=str(folder / "spool"),
    )  # fmt: skip


class Plant:
    """HAProxy and what is behind it."""

    def __init__(self, plane: Plane, ask: Callable[[str], int], ports_: Iterable[int]) -> None:
        self.plane = plane
        self._ask = ask
        self._ports = iter(ports_)
        self._number = 0
        self._live: list[tuple[Endpoint, int]] = []
        """Servers with their processes, the oldest first."""

    @property
    def url(self) -> str:
        """Where clients ask."""
        return f"http://127.0.0.1:{self.plane.public_port}/{_APPLICATION}/predict"

    async def start(self) -> None:
        """HAProxy, and as many replicas as it should have."""
        haproxy.write(self.plane, (Route(_APPLICATION, _COLOUR.full_share),))
        processes.start(haproxy.service(self.plane, TRAFFIC_SERVICE))
        await self._until(self._answers, "HAProxy answers")
        for _ in range(REPLICAS):
            await self._bring()

    async def kill_one_after_another(self, count: int) -> None:
        """Kill the oldest replica, bring another one in, and again; each time once all that should be there is."""
        for _ in range(count):
            await self._until(self._whole, f"{REPLICAS} replicas serve")
            await asyncio.sleep(random.uniform(0, _WHOLE_S))  # noqa: S311 - no secret
            server, process = self._live.pop(0)
            self._ask(f"kill {process}")
            await asyncio.sleep(_ALONE_S)
            await self._bring()
            await self._forget(server)

    async def _forget(self, dead: Endpoint) -> None:
        await haproxy.drain(self.plane, _BACKEND, dead.name)

        async def gone() -> bool:
            return await haproxy.remove_server(self.plane, _BACKEND, dead.name)

        await self._until(gone, f"{dead.name} is forgotten")

    async def _bring(self) -> None:
        """Another replica, as the controller brings it in: it is probed, and let in once its probe went well."""
        self._number += 1
        server = Endpoint(f"replica-{self._number}", "127.0.0.1", next(self._ports))
        process = self._ask(f"serve {server.port}")
        await haproxy.add_server(self.plane, _BACKEND, server)

        async def answers() -> bool:
            return (await self._servers())[server.name].answers

        await self._until(answers, f"{server.name} answers")
        await haproxy.admit(self.plane, _BACKEND, server.name)
        self._live.append((server, process))

    async def _whole(self) -> bool:
        found = await self._servers()
        return len(found) == REPLICAS and all(state.usable and state.answers for state in found.values())

    async def _servers(self) -> dict[str, EndpointState]:
        return (await haproxy.snapshot(self.plane)).backends[_BACKEND]

    async def _answers(self) -> bool:
        try:
            await self._servers()
        except RetryableError:
            return False
        return True

    async def _until(self, ready: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + _COMES_S
        while not await ready():
            if time.monotonic() > deadline:
                raise MeasurementError(f"{what}: not within {_COMES_S:g} s")
            await asyncio.sleep(_LOOK_S)
