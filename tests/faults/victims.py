"""Finds what is to be killed, and kills it as the kernel's out-of-memory killer would: SIGKILL, no word before."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from bench.commands import MeasurementError
from heliostat.rollout.model import Colour
from heliostat.spec.controller import SERVICE, TRAFFIC_SERVICE
from heliostat.systems import processes
from heliostat.systems.ray_nodes import HEAD
from tests.faults.table import Kind
from tests.faults.world import APPLICATION, World

_APPEARS_S = {Kind.CANDIDATE: 15.0, Kind.REPLICA: 20.0}
"""How long a victim may take to come into being: what serves has to be there, or to come back."""
_SERVE_CONTROLLER = "ServeController"
_ALWAYS_THERE = frozenset({Kind.CONTROLLER, Kind.HAPROXY, Kind.SERVE, Kind.WORKER, Kind.HEAD})


class Nothing(MeasurementError):
    """There is nothing of the kind to kill."""


def kill(kind: Kind, world: World, live: Colour | None) -> str:
    """Kill one of `kind`, other than the `up` or its plugin; what was killed, in words. The colour `live` serves.

    Raises:
        Nothing: there is none, and need not be.
        MeasurementError: there is none, and should be.
    """
    try:
        return _killed(kind, world, live)
    except Nothing as nothing:
        if kind in _ALWAYS_THERE:
            raise MeasurementError(f"{nothing}: it should run") from None
        raise


def _killed(kind: Kind, world: World, live: Colour | None) -> str:
    if kind is Kind.CONTROLLER:
        return _kill([found] if (found := processes.find(world.directory, SERVICE)) else [], "controller")
    if kind is Kind.HAPROXY:
        return _kill(processes.marked(world.directory, TRAFFIC_SERVICE), "HAProxy")
    if kind is Kind.SERVE:
        return _kill(named(world, _SERVE_CONTROLLER)[:1], "Serve's controller")
    if kind is Kind.WORKER:
        name, placed = _worker(world)
        return f"{_kill(processes.marked(world.cluster.directory, name), name)}, with {placed}"
    if kind is Kind.HEAD:
        return _kill(processes.marked(world.cluster.directory, HEAD), "head")
    colour = live if kind is Kind.REPLICA or live is None else live.other
    if colour is None:
        raise Nothing("nothing serves, so no replica of it can be killed")
    return _kill(_appearing(lambda: replicas(world, colour)[:1], _APPEARS_S[kind]), f"replica of {colour}")


def replicas(world: World, colour: Colour) -> list[psutil.Process]:
    """The processes of a colour's replicas, the longest running first."""
    return sorted(named(world, f"ServeReplica:{APPLICATION}-{colour}"), key=lambda process: process.create_time())


def named(world: World, part: str) -> list[psutil.Process]:
    """The cluster's processes whose command has `part` in it."""
    return [process for process in processes.marked(world.cluster.directory) if part in _command(process.pid)]


def plugins_of(up: psutil.Process) -> list[psutil.Process]:
    """The provider's plugins that an `up` started."""
    with suppress(psutil.NoSuchProcess):
        return [child for child in up.children(recursive=True) if "heliostat/provider" in _command(child.pid)]
    return []


def node_of(process: psutil.Process, world: World) -> str:
    """The name of the node (`worker-1`) that a process is of."""
    with suppress(psutil.Error):
        return process.environ().get(processes.MARK, "").rpartition(":")[2]
    return ""


def crowded(world: World, live: Colour) -> bool:
    """Whether all replicas that serve are on one node, whose death then takes all of them."""
    return len({node_of(process, world) for process in replicas(world, live)}) < 2


def _worker(world: World) -> tuple[str, str]:
    """A worker node, and what is on it: the fullest without all of a colour.

    Where replicas are is Ray's choice; a node that holds all of a version is not what a strategy can save.
    """
    running = world.cluster.workers()
    if not running:
        raise Nothing("no worker node runs")
    hosts = {colour: [node_of(process, world) for process in replicas(world, colour)] for colour in Colour}
    every = [host for found in hosts.values() for host in found]
    safe = [name for name in running if all(set(found) != {name} for found in hosts.values())]
    chosen = max(safe or running, key=every.count)
    return chosen, f"{every.count(chosen)} of {len(every)} replicas on it{'' if safe else ', all of a version among them'}"


def _kill(victims: Sequence[psutil.Process], what: str) -> str:
    killed = []
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
            killed.append(victim.pid)
    if not killed:
        raise Nothing(f"there is no {what} to kill")
    return f"{what} ({len(killed)} process{'es' if len(killed) > 1 else ''})"


def _appearing(find: Callable[[], list[psutil.Process]], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
