"""What a monitor has to say of trainings, of what it remembers and of the objects beside it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from heliostat.gitops.watched_retraining import Watched
from heliostat.monitoring.proposals import Proposal
from heliostat.monitoring.retraining import Outcome
from heliostat.monitoring.state import MonitorState
from heliostat.spec.monitoring import Refusal, proposal_key
from heliostat.systems import gate_notes
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def watched(stack: str, name: str, state: MonitorState, store: ObjectStore) -> Watched:
    """What the monitor of an application proposes; where it proposes nothing, what came of the last that was refused.

    Raises:
        PermanentError, RetryableError: the store does not say.
    """
    last = state.retrainings[-1] if state.retrainings else None
    if state.proposal is not None or last is None or last.outcome is not Outcome.REFUSED:
        return Watched(stack, name, state.proposal)
    try:
        proposal = Proposal.model_validate_json(store.get(proposal_key(name, f"{last.begun:%Y%m%dT%H%M%S}")))
    except (ObjectMissingError, ValidationError):
        return Watched(stack, name, None)
    told = tuple(text for each in refused_since(store, name, last.begun.timestamp()) for text in each.reasons)
    return Watched(stack, name, None, proposal, told)


def refused_since(store: ObjectStore, name: str, since: float) -> Sequence[Refusal]:
    """The candidates of an application that the gate refused after `since`, Unix time, the oldest first.

    Raises:
        PermanentError, RetryableError: the store does not say.
    """
    return [each for each in gate_notes.refused(store, name) if each.at > since]
