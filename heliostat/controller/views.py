"""What the API shows of a state. Pure."""

from __future__ import annotations

from heliostat.rollout import refusals, show
from heliostat.rollout.model import Observed, Progress, State
from heliostat.spec.rollouts import Phase, Rollout, RolloutEvent, Status

Events = tuple[RolloutEvent, ...]


def status(state: State, observed: Observed | None, events: Events, public_url: str, now: float) -> Status:
    """An application, for its clients."""
    live = state.slot(state.live).desired if state.live is not None else None
    usable = observed.seen(state.live).usable if observed is not None and state.live is not None else frozenset()
    return Status(
        name=state.name,
        desired=state.declared,
        pending=state.pending,
        serving=live.version if live is not None and usable else None,
        healthy_replicas=len(usable),
        rollout=current(state, observed or Observed(), events, now) if state.rollout is not None else None,
        refused=refusals.shown(state),
        url=f"{public_url}/{state.name}",
        cluster=live.cluster if live is not None and usable else "",
    )


def current(state: State, observed: Observed, events: Events, now: float) -> Rollout | None:
    """The newest rollout of an application, as it stands; None where there was none."""
    if state.rollout is None:
        return None
    return past(state.rollout, events).model_copy(
        update={
            "step": show.step(state),
            "until": show.until(state),
            "candidate_weight": show.candidate_weight(state),
            "analyses": show.analyses(state, observed, now),
        }
    )


def past(progress: Progress, events: Events = ()) -> Rollout:
    """A rollout as its own record tells it."""
    return Rollout(
        number=progress.number,
        phase=progress.phase,
        started_at=progress.started_at,
        ended_at=progress.ended_at,
        step=progress.stage,
        steps=show.steps(progress),
        from_version=progress.previous.version.label if progress.previous is not None else None,
        to_version=progress.target.version.label,
        strategy=progress.strategy,
        candidate_weight=1.0 if progress.phase is Phase.SUCCEEDED else 0.0,
        events=events,
        error=progress.error,
        figures=progress.figures,
        analyses=progress.analyses,
        origin=progress.origin,
        from_cluster=progress.previous.cluster if progress.previous is not None else "",
        to_cluster=progress.target.cluster,
    )
