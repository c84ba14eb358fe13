"""Whether the controller, HAProxy and Serve say the same after a fault: one end, one version, all of its replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from bench.api import ENDS
from heliostat.controller.backends.haproxy import plane_of
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import TrafficSnapshot, backend_name
from heliostat.spec.rollouts import Phase, Status
from heliostat.systems import haproxy
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_serve import ServeClient, ServeInstance, ServeStatus
from tests.faults.table import REPLICAS
from tests.faults.world import APPLICATION, World


@dataclass(frozen=True)
class Expected:
    """What has to be true of a rollout at its end."""

    number: int
    old: str
    """Labels of the versions."""
    new: str
    rolls_back: bool
    """Whether it was aborted, and has to be refused from now on. One that failed by itself is not where the cluster or the
    analysis runner was to blame."""


@dataclass(frozen=True)
class Facts:
    """What each of them says."""

    status: Status
    ends: int
    """Of the rollout: how many of its events are ends."""
    serve: ServeInstance
    traffic: TrafficSnapshot


def differences(world: World, expected: Expected) -> list[str]:
    """What is not as it should be, in words; nothing where all is.

    Raises:
        MeasurementError: the controller does not answer.
    """
    status = world.api.status(APPLICATION)
    record = world.api.record(APPLICATION, expected.number)
    ends = sum(event.phase in ENDS for event in record.rollout.events)
    try:
        serve, traffic = asyncio.run(_look(world))
    except (RetryableError, PermanentError) as error:
        return [str(error)]
    return list(compare(Facts(status, ends, serve, traffic), expected))


def compare(facts: Facts, expected: Expected) -> Iterator[str]:
    """What differs. Pure."""
    rollout = facts.status.rollout
    if rollout is None or rollout.number != expected.number:
        yield f"the newest rollout is {rollout.number if rollout else 'none'}, not {expected.number}"
        return
    if rollout.phase not in ENDS or facts.ends != 1:
        yield f"rollout {rollout.number} is {rollout.phase}, with {facts.ends} ends"
    wanted = {Phase.SUCCEEDED: expected.new, Phase.FAILED: expected.old}.get(rollout.phase)
    if expected.rolls_back and rollout.phase is not Phase.FAILED:
        yield f"it was aborted, and is {rollout.phase}"
    serving = facts.status.serving.label if facts.status.serving else None
    if serving != wanted:
        yield f"{serving} serves, {wanted} should"
    if facts.status.healthy_replicas != REPLICAS:
        yield f"the controller sees {facts.status.healthy_replicas} healthy replicas of {REPLICAS}"
    refused = any(each.rollout == expected.number for each in facts.status.refused)
    if (expected.rolls_back and not refused) or (refused and rollout.phase is not Phase.FAILED):
        yield f"the candidate is {'' if refused else 'not '}refused from now on, though the rollout {rollout.phase}"
    yield from _places(facts, wanted)


def _places(facts: Facts, wanted: str | None) -> Iterator[str]:
    names = {backend_name(APPLICATION, colour): colour for colour in Colour}
    found = {names[name]: each for name, each in facts.serve.applications.items() if name in names}
    if len(found) != 1:
        yield f"Serve has {', '.join(sorted(found)) or 'nothing'}: one colour should be there"
        return
    ((colour, application),) = found.items()
    label = (application.arguments.get("version") or {}).get("label")
    if application.status is not ServeStatus.RUNNING or label != wanted:
        yield f"Serve's {colour} is {application.status} with {label}, {wanted} should run"
    if len(application.replicas) != REPLICAS or application.leftover:
        yield f"Serve has {len(application.replicas)} replicas and {application.leftover} leftovers of {REPLICAS}"
    share = facts.traffic.shares.get(APPLICATION)
    if share != colour.full_share:
        yield f"HAProxy's share of green is {share}, {colour} should have all"
    for each in Colour:
        servers = facts.traffic.backends.get(backend_name(APPLICATION, each.value), {})
        usable = sum(state.usable for state in servers.values())
        if usable != (REPLICAS if each is colour else 0):
            yield f"HAProxy has {usable} usable replicas of {each}"


def live_colour(world: World) -> Colour | None:
    """The colour that has all the traffic by HAProxy's share; None while it is shared."""
    try:
        _, traffic = asyncio.run(_look(world))
    except (RetryableError, PermanentError):
        return None
    share = traffic.shares.get(APPLICATION)
    return next((colour for colour in Colour if colour.full_share == share), None)


async def _look(world: World) -> tuple[ServeInstance, TrafficSnapshot]:
    client = ServeClient(world.settings.inputs.ray, world.settings.serve_port)
    try:
        return await client.read(), await haproxy.snapshot(plane_of(world.settings))
    finally:
        await client.close()
