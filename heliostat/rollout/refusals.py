"""What was rolled back is remembered, and not shipped again until it changes or somebody says so."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from heliostat.rollout.model import SETTLED, State
from heliostat.spec.rollouts import Desired, Refused

MOST = 100
"""Refusals that are kept, the newest."""


def fingerprint(desired: Desired) -> str:
    """The digest of all of a declaration: another strategy or another limit is another one."""
    return sha256(desired.model_dump_json().encode()).hexdigest()


def refusal(state: State, desired: Desired) -> Refused | None:
    """What a declaration of `desired` is refused for; None where it is not, or would ship nothing."""
    return None if serves_as_it_is(state, desired) else _remembered(state, desired)


def why(state: State, refused: Refused) -> str:
    """A refusal in words: which, when, why, what serves, and what to do."""
    at = datetime.fromtimestamp(refused.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    live = state.slot(state.live).desired if state.live is not None else None
    serves = f"{live.version.label} serves" if live is not None else "nothing serves"
    return (
        f"{state.name}: {refused.label} was rolled back at {at} (rollout {refused.rollout}): {refused.reason}. {serves}. "
        "It is not shipped again until the program changes; `--retry-refused` ships it all the same"
    )


def remember(state: State, desired: Desired, rollout: int, at: float, reason: str) -> State:
    """`state` that refuses `desired` from now on."""
    entry = Refused(fingerprint=fingerprint(desired), label=desired.version.label, rollout=rollout, at=at, reason=reason)
    return state.but(refused=(entry, *forget(state, desired).refused)[:MOST])


def forget(state: State, desired: Desired) -> State:
    """`state` that does not refuse `desired`."""
    wanted = fingerprint(desired)
    left = tuple(each for each in state.refused if each.fingerprint != wanted)
    return state.but(refused=left) if left != state.refused else state


def serves_as_it_is(state: State, desired: Desired) -> bool:
    """Whether a declaration of `desired` that was left once would ship nothing: what was to replace it did not come."""
    if _remembered(state, desired) is None:
        return False
    rollout = state.rollout
    live = state.slot(state.live).desired if state.live is not None else None
    quiet = not state.pending and (rollout is None or rollout.ended or rollout.phase in SETTLED)
    return quiet and live == desired


def _remembered(state: State, desired: Desired) -> Refused | None:
    wanted = fingerprint(desired)
    return next((each for each in state.refused if each.fingerprint == wanted), None)
