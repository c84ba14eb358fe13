"""Which job is begun again, now that what it waited for is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from heliostat.spec.formatting import counted
from heliostat.systems.forges import Gate, Standing

MOST_ATTEMPTS: Final = 10
"""Forges take some dozens; a job that fails as often does not wait for a rollout."""


@dataclass(frozen=True)
class Resumption:
    """What is to be done about the last run that got as far as the gate."""

    gate: Gate | None
    """What is to be begun again; None: nothing."""
    told: str


def resumption(gates: Iterable[Gate], name: str) -> Resumption:
    """What of the gates, the latest first, is to be begun again.

    None that is earlier than the latest one that was got to, whose plan has what all of them brought. No more of them are
    asked for than it takes.
    """
    for gate in gates:
        match gate.standing:
            case Standing.NOT_REACHED:
                continue
            case Standing.GOES_ON:
                return Resumption(None, f"{name} of {gate.commit[:12]} is looking: {gate.url}")
            case Standing.OPEN:
                return Resumption(None, f"{name} of {gate.commit[:12]} is through: {gate.url}")
        if gate.attempts >= MOST_ATTEMPTS:
            tried = f"{name} of {gate.commit[:12]} was begun {counted(gate.attempts, 'time')}"
            return Resumption(None, f"{tried}, and is not begun again: see why it fails, {gate.url}")
        return Resumption(gate, f"{name} of {gate.commit[:12]} is begun again: {gate.url}")
    return Resumption(None, f"no run waits at {name}")
