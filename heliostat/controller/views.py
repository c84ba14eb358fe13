"""What the API shows of a state. Pure."""

from __future__ import annotations

from heliostat.rollout.model import SHARES, Colour, Observed, Progress, State
from heliostat.spec.rollouts import Rollout, RolloutEvent, Status


def status(state: State, observed: Observed | None, events: tuple[RolloutEvent, ...], public_url: str) -> Status:
    """An application, for its clients."""
    live = state.slot(state.live).desired if state.live is not None else None
    usable = observed.seen(state.live).usable if observed is not None and state.live is not None else frozenset()
    return Status(
        name=state.name,
        desired=state.declared,
        serving=live.version if live is not None and usable else None,
        healthy_replicas=len(usable),
        rollout=_rollout(state.rollout, state.share, events) if state.rollout is not None else None,
        url=f"{public_url}/{state.name}",
    )


def _rollout(progress: Progress, share: int, events: tuple[RolloutEvent, ...]) -> Rollout:
    on_candidate = share if progress.candidate is Colour.GREEN else SHARES - share
    # Where it is the only one, or none, of the colours, the share says nothing yet: it stands where the last rollout left it.
    shifted = "shift_milliseconds" in progress.figures or progress.in_place
    return Rollout(
        number=progress.number,
        phase=progress.phase,
        from_version=progress.previous.version.label if progress.previous is not None else None,
        to_version=progress.target.version.label,
        strategy=progress.strategy,
        candidate_weight=on_candidate / SHARES if shifted or progress.previous is not None else 0.0,
        events=events,
        error=progress.error,
        figures=progress.figures,
    )
