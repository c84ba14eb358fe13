"""What a declaration would do, in words, before it is done."""

from __future__ import annotations

from heliostat.rollout.model import SETTLED, Slot, State, identity
from heliostat.rollout.shares import least_healthy
from heliostat.spec.controller import DRAIN_SECONDS
from heliostat.spec.rollouts import Desired, Plan
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling

Measured = tuple[float, int] | None
"""Seconds, and from how many measurements."""


def plan(state: State, desired: Desired, startup: Measured, gap: Measured) -> Plan:
    """What declaring `desired` now would do. `startup` and `gap` are what earlier rollouts took."""
    live = state.slot(state.live) if state.live is not None else Slot()
    if live.desired is None:
        lines = (f"starts {_replicas(desired.replicas)} of {desired.version.label}{_takes(startup)}; nothing serves now",)
        return Plan(changes=True, lines=(*lines, _tested()), extra_replicas=desired.replicas)
    if identity(live.desired) == identity(desired):
        return _in_place(live.desired, desired)
    notes = _unfinished(state)
    kept = state.live is not None and _kept(state.slot(state.live.other), desired)
    if isinstance(desired.strategy, Recreate):
        return _recreate(live.desired, desired, startup, gap, notes)
    if isinstance(desired.strategy, Rolling):
        return _rolling(live.desired, desired, desired.strategy, startup, notes)
    return _blue_green(live.desired, desired, desired.strategy, startup if not kept else None, (*notes, *_warm(kept)))


def _in_place(live: Desired, desired: Desired) -> Plan:
    lines = []
    if live.replicas != desired.replicas:
        lines.append(f"replicas: {live.replicas} -> {desired.replicas}; no replica restarts")
    if live.max_ongoing_requests != desired.max_ongoing_requests:
        lines.append(f"requests at a time: {live.max_ongoing_requests} -> {desired.max_ongoing_requests}; no replica restarts")
    return Plan(changes=bool(lines), lines=tuple(lines), extra_replicas=max(0, desired.replicas - live.replicas))


def _recreate(live: Desired, desired: Desired, startup: Measured, gap: Measured, notes: tuple[str, ...]) -> Plan:
    # The old replicas are given their time to stop before the new ones start.
    expected = gap or (startup and (startup[0] + DRAIN_SECONDS, startup[1]))
    if expected is None:
        length = f"of unknown length (nothing was measured yet; at most {desired.startup_timeout_seconds:g} s to start)"
    else:
        length = f"of about {expected[0]:.0f} s (measured in {expected[1]} earlier start{'s' if expected[1] > 1 else ''})"
    lines = (
        *notes,
        f"stops {_replicas(live.replicas)} of {live.version.label}, then starts {_replicas(desired.replicas)} of "
        f"{desired.version.label}: a gap without service {length}; no replicas on top",
        f"should {desired.version.label} fail, {live.version.label} is deployed again, after another start's time",
    )
    return Plan(changes=True, lines=lines, gap_seconds=expected[0] if expected else desired.startup_timeout_seconds)


def _rolling(live: Desired, desired: Desired, way: Rolling, startup: Measured, notes: tuple[str, ...]) -> Plan:
    batch = -(-way.percentage * desired.replicas // 100)
    floor = least_healthy(way, desired.replicas)
    extra = max(0, desired.replicas + way.max_surge - live.replicas)
    first = min(batch, max(extra, 1))
    lines = (
        *notes,
        f"moves {_replicas(desired.replicas)} from {live.version.label} to {desired.version.label}, up to {batch} at a time; "
        f"both answer meanwhile, at least {floor} healthy at any time; no gap",
        f"needs up to {_replicas(min(extra, desired.replicas))} on top; {first} start{'s' if first == 1 else ''} first"
        f"{_takes(startup, ' a step')}",
        _tested(),
    )
    return Plan(changes=True, lines=lines, extra_replicas=min(extra, desired.replicas))


def _blue_green(live: Desired, desired: Desired, way: BlueGreen, startup: Measured, notes: tuple[str, ...]) -> Plan:
    lines = (
        *notes,
        f"starts {_replicas(desired.replicas)} of {desired.version.label} beside {_replicas(live.replicas)} of "
        f"{live.version.label}{_takes(startup)}, then moves all traffic at once; no gap",
        f"needs {_replicas(desired.replicas)} on top until {way.retention_seconds:g} s after the switch",
        _tested(),
    )
    return Plan(changes=True, lines=lines, extra_replicas=desired.replicas)


def _unfinished(state: State) -> tuple[str, ...]:
    rollout = state.rollout
    if rollout is None or rollout.ended or rollout.phase in SETTLED:
        return ()
    return (f"ends the rollout to {rollout.target.version.label} that is on its way",)


def _kept(slot: Slot, desired: Desired) -> bool:
    return slot.desired is not None and identity(slot.desired) == identity(desired)


def _warm(kept: bool) -> tuple[str, ...]:
    return ("its replicas are still there: nothing needs to start",) if kept else ()


def _tested() -> str:
    return "each new replica must be healthy and answer the golden requests rightly before it gets traffic"


def _takes(startup: Measured, unit: str = "") -> str:
    return f", about {startup[0]:.0f} s{unit} as measured before" if startup is not None else ""


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
