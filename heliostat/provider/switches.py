"""What an update is asked by the environment, so that it can be asked of either engine; `heliostat up` has flags for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heliostat.systems.errors import PermanentError

DETACH = "HELIOSTAT_DETACH"
DETACH_SECONDS = "HELIOSTAT_DETACH_SECONDS"
WAIT = "HELIOSTAT_WAIT"
RETRY_REFUSED = "HELIOSTAT_RETRY_REFUSED"
CONFIRM_DELETES = "HELIOSTAT_CONFIRM_DELETES"
_LEFT_BEHIND = frozenset({"heliostat:index:Dataset", "heliostat:index:TrainJob", "heliostat:index:ModelVersion"})
"""What a deletion forgets: objects, runs and models stay."""
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"", "0", "false", "f", "no", "n", "off"})


@dataclass(frozen=True)
class Switches:
    """How an update goes about rollouts and refusals."""

    detach: bool = False
    """Leave a rollout as soon as it has begun, and work on a cluster that takes longer than `stay_seconds`."""
    wait: bool = False
    """Stay to its very end, through pauses, approvals and the retention window."""
    retry_refused: bool = False
    """Ship again what was rolled back, and measure again what the gate refused."""
    stay_seconds: float = 60.0
    """How long work may have run when an update that detaches leaves it. Short work is stayed with: where it is left, somebody
    has to come back for what comes after it."""


def switches_of(environment: Mapping[str, str]) -> Switches:
    """The switches.

    Raises:
        PermanentError: one is neither true nor false, or no number of seconds, or two exclude each other.
    """
    detach, wait, retry_refused = (_is_on(environment, name) for name in (DETACH, WAIT, RETRY_REFUSED))
    found = Switches(detach, wait, retry_refused, _seconds(environment, Switches.stay_seconds))
    if found.detach and found.wait:
        raise PermanentError(f"{DETACH} and {WAIT} exclude each other: unset one of them")
    return found


def refuse_delete(environment: Mapping[str, str], token: str) -> None:
    """Keeps what serves or holds data where an update was told to ask: the official CLI, run with --yes, asks nobody.

    Raises:
        PermanentError: it may not be deleted; the text says what allows it.
    """
    if token not in _LEFT_BEHIND and _is_on(environment, CONFIRM_DELETES):
        raise PermanentError(
            "it is no longer declared, and not deleted without a word on it: allow it with `make up DELETE=1`, "
            "or `heliostat up` without --confirm-deletes"
        )


def _seconds(environment: Mapping[str, str], otherwise: float) -> float:
    said = environment.get(DETACH_SECONDS, "").strip()
    if not said:
        return otherwise
    if not said.replace(".", "", 1).isdecimal():
        raise PermanentError(f"{DETACH_SECONDS} is {said!r}: set it to a number of seconds, as 600")
    return float(said)


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    said = environment.get(name, "").strip().lower()
    if said not in _TRUE | _FALSE:
        raise PermanentError(f"{name} is {said!r}: set it to 1 or 0")
    return said in _TRUE
