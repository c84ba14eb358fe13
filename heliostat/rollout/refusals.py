"""What was rolled back is remembered, and not shipped again until it changes or somebody says so.

A refusal is of a version and of how it is judged. How many replicas of it run, how many requests each takes at a time, how the
replicas move and what follows once it is through decide neither what it answers nor what it has to pass: a change of them
alone brings nothing back, and no other cluster does. But where a version that serves did not do well on another cluster, only
that move is refused. Once the version serves all the same, its refusals are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from heliostat.rollout.model import SETTLED, Progress, State, identity, identity_anywhere
from heliostat.spec.rollouts import BlockedVersion, Desired, Version

MOST = 100
"""Refusals that are kept, the newest."""

_PASSES_NOTHING = {
    "rolling": {"percentage", "max_surge", "min_healthy_percentage"},
    "blue-green": {"retention_seconds"},
    "canary": {"affinity", "retention_seconds"},
    "shadow": {"retention_seconds"},
}
"""What a strategy says, by kind, that a candidate is not held against."""


def fingerprint(desired: Desired) -> str:
    """The digest of all of a declaration."""
    return sha256(desired.model_dump_json().encode()).hexdigest()


def as_judged(desired: Desired) -> str:
    """The digest of what a refusal is of: a version, each of its replicas, and what it has to pass."""
    strategy = desired.strategy.model_dump(mode="json", exclude=_PASSES_NOTHING.get(desired.strategy.kind))
    parts = {
        "version": _answers(desired.version),
        "replica": [desired.cpus_per_replica, desired.gpus_per_replica],
        **({"placement": desired.placement.model_dump(mode="json")} if desired.placement is not None else {}),
        "startup": desired.startup_timeout_seconds,
        "strategy": strategy,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def refusal(state: State, desired: Desired) -> BlockedVersion | None:
    """What a declaration of `desired` is refused for; None where it is not, as what serves already never is."""
    live = _settled(state)
    if live is not None and identity(live) == identity(desired):
        return None
    return next((each for each in state.refused if _is_of(each, desired)), None)


def why(state: State, refused: BlockedVersion) -> str:
    """A refusal in words: which, when, why, what serves, and what to do."""
    at = datetime.fromtimestamp(refused.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    live = state.slot(state.live).desired if state.live is not None else None
    serves = f"{live.version.label} serves" if live is not None else "nothing serves"
    return (
        f"{state.name}: {refused.label} was rolled back at {at} (rollout {refused.rollout}): {refused.reason}. {serves}. "
        "It is not shipped again until it, or what it has to pass, changes; `--retry-refused` ships it all the same"
    )


def hold(state: State, rollout: Progress, at: float, reason: str) -> State:
    """`state` that holds `reason` against the candidate of `rollout`, where it is the candidate's.

    What served before proved itself, and what changes in place serves.
    """
    if rollout.in_place or rollout.excused or rollout.direct:
        return state
    return remember(state, rollout.target, rollout.number, at, reason, rollout.previous)


def remember(state: State, desired: Desired, rollout: int, at: float, reason: str, instead: Desired | None = None) -> State:
    """`state` that refuses `desired` from now on; `instead` is what it goes on with."""
    entry = entry_of(desired, rollout, at, reason)
    if instead is not None and identity_anywhere(instead) == identity_anywhere(desired):
        entry = entry.model_copy(update={"cluster": desired.cluster})
    return withdrawn(state.but(refused=(entry, *forget(state, desired).refused)[:MOST]))


def withdrawn(state: State) -> State:
    """`state` in which a declaration that waits for its turn, and came to be refused meanwhile, waits no more."""
    if not state.pending or state.returning or state.declared is None or not is_refused(state, state.declared):
        return state
    return state.but(pending=False)


def entry_of(desired: Desired, rollout: int, at: float, reason: str) -> BlockedVersion:
    """The refusal of `desired`."""
    return BlockedVersion(
        fingerprint=as_judged(desired),
        identity=identity_anywhere(desired),
        label=desired.version.label,
        rollout=rollout,
        at=at,
        reason=reason,
    )


def forget(state: State, desired: Desired) -> State:
    """`state` that does not refuse `desired`."""
    return state.but(refused=tuple(each for each in state.refused if not _is_of(each, desired)))


def forgiven(state: State) -> State:
    """`state` without the refusals of what serves, however it was judged, once nothing is on its way in its place."""
    live = _settled(state)
    if live is None or not state.refused:
        return state
    state = forget(state, live)
    return state.but(refused=tuple(each for each in state.refused if not _runs_as(each, live)))


def shown(state: State) -> tuple[BlockedVersion, ...]:
    """The refusals for people, the newest first: what serves is not among them, not even while it is being left."""
    live = state.slot(state.live).desired if state.live is not None else None
    return tuple(each for each in state.refused if live is None or not _runs_as(each, live))


def is_refused(state: State, desired: Desired) -> bool:
    """Whether `desired` was rolled back or left, and has not served since."""
    return any(_is_of(each, desired) for each in state.refused)


def _is_of(refused: BlockedVersion, desired: Desired) -> bool:
    if not refused.identity:
        return refused.label == desired.version.label
    return refused.fingerprint == as_judged(desired) and refused.cluster in ("", desired.cluster)


def _runs_as(refused: BlockedVersion, live: Desired) -> bool:
    return refused.identity == identity_anywhere(live) and refused.cluster in ("", live.cluster)


def _settled(state: State) -> Desired | None:
    """What serves, and stays; None where something is on its way."""
    rollout = state.rollout
    stays = rollout is None or rollout.ended or (rollout.phase in SETTLED and rollout.aborted is None)
    quiet = stays and not state.pending and not state.deleting
    return state.slot(state.live).desired if quiet and state.live is not None else None


def _answers(version: Version) -> Mapping[str, Any]:
    """What decides whether a version starts and what it answers; what it logs of its answers does not."""
    return {
        "code": version.code_uri.rpartition("/")[2],
        "contract": version.contract,
        "model": version.model_uri,
        "tracking": version.tracking_uri,
        "store": version.store.model_dump(mode="json"),
        "limits": version.limits.model_dump(mode="json"),
        **({"library": version.runtime.library_digest} if version.runtime else {}),
    }
