"""When the next pass over an application is due. Pure."""

from __future__ import annotations

from heliostat.rollout.model import Admission, Colour, Observed, State
from heliostat.rollout.show import gathering, until
from heliostat.spec.rollouts import Phase

BUSY_SECONDS = 0.2
"""Between passes while something is on its way, or is measured before it goes on."""
WATCH_SECONDS = 1.0
"""Between passes while a rollout waits and its figures are watched."""
IDLE_SECONDS = 2.0
"""Between passes while all is as it shall be: HAProxy's own probes and retries cover what happens in between."""
_LEAST_SECONDS = 0.02

_WAITS = frozenset({Phase.PAUSED, Phase.WAITING, Phase.RETAINING})


def requeue_after(state: State, observed: Observed | None, now: float) -> float:
    """How long the next pass may wait, in seconds."""
    rollout = state.rollout
    if state.pending or state.deleting or observed is None or _unwell(state, observed):
        return BUSY_SECONDS
    if rollout is None or rollout.ended:
        return IDLE_SECONDS
    if rollout.phase not in _WAITS or rollout.sick_since is not None:
        return BUSY_SECONDS
    longest = WATCH_SECONDS if gathering(state) is not None else IDLE_SECONDS
    end = until(state)
    return longest if end is None else min(longest, max(_LEAST_SECONDS, end - now))


def _unwell(state: State, observed: Observed) -> bool:
    """Whether a colour has not the replicas that it shall have."""

    def well(colour: Colour) -> int:
        seen = observed.seen(colour)
        return len(seen.usable if state.slot(colour).access is Admission.OPEN else seen.healthy)

    colours = [colour for colour in Colour if state.slot(colour).desired is not None]
    return any(well(colour) != state.slot(colour).replicas for colour in colours)
