"""What people say: declare, delete, approve, abort, go back. Each gives the next state, or says why it cannot be."""

from __future__ import annotations

from heliostat.rollout.beginning import nothing_to_do
from heliostat.rollout.model import SETTLED, Observed, Progress, State, Step, identity
from heliostat.rollout.refusals import fingerprint, forget, hold, refusal, remember, why
from heliostat.rollout.steps import step_of, words_of
from heliostat.spec.rollouts import ActionRequest, BlockedVersion, Desired, Origin, Phase, RollbackRequest


class OrderError(Exception):
    """It cannot be done now; the text says why, and what can."""


class RefusedError(OrderError):
    """What is declared was rolled back before."""

    def __init__(self, text: str, refused: BlockedVersion) -> None:
        super().__init__(text)
        self.refused = refused


def declare(state: State, desired: Desired, observed: Observed, origin: Origin | None = None) -> State:
    """`state` with a new declaration. The same one again changes nothing while it is on its way or serves well.

    Raises:
        RefusedError: it was rolled back before; `retry` makes it forgotten.
    """
    leaves = state.pending and state.returning
    if _is_on_its_way(state, desired) and not leaves:
        return state.but(declared=desired, pending=False, returning=False)
    same = state.declared == desired and not state.deleting
    if same and (state.pending or _serves(state, desired, observed)):
        return state
    refused = refusal(state, desired)
    if refused is not None:
        raise RefusedError(why(state, refused), refused)
    return state.but(declared=desired, origin=origin, pending=True, returning=False)


def retry(state: State, desired: Desired) -> State:
    """`state` that does not refuse `desired` any more."""
    return forget(state, desired)


def delete(state: State) -> State:
    """`state` of an application that shall not be."""
    return state.but(declared=None, origin=None, pending=False, returning=False, deleting=True)


def approve(state: State, word: ActionRequest, now: float) -> Step:
    """Let the stage that waits go on.

    Raises:
        OrderError: nothing waits for anybody, or not what the person read of; or somebody let it go on already.
    """
    rollout, at = _meant(state, word), step_of(state)
    if word.step is not None and word.step != at:
        raise OrderError(
            f"{state.name}: step {word.step + 1} of rollout {rollout.number} does not wait "
            f"{'any more' if word.step < at else 'yet'}: it is at step {at + 1} ({words_of(state)}); nothing was approved"
        )
    if rollout.phase is not Phase.WAITING or state.pending or state.deleting:
        raise OrderError(
            f"{state.name}: nothing waits for an approval: rollout {rollout.number} to {rollout.target.version.label} is "
            f"{rollout.phase.value}"
        )
    if rollout.approved:
        raise OrderError(f"{state.name}: step {at + 1} ({words_of(state)}) of rollout {rollout.number} is approved already")
    return Step(state.with_rollout(approved=True), ((Phase.WAITING, f"{word.by} lets it go on{_because(word.reason)}"),))


def abort(state: State, word: ActionRequest, now: float) -> Step:
    """Roll back what is on its way; the next look begins with it.

    Raises:
        OrderError: nothing is, or it goes back already.
    """
    rollout = _meant(state, word)
    if rollout.phase is Phase.ROLLING_BACK:
        raise OrderError(f"{state.name}: rollout {rollout.number} to {rollout.target.version.label} is rolled back already")
    if rollout.phase is Phase.RETIRING or state.deleting:
        raise OrderError(
            f"{state.name}: rollout {rollout.number} to {rollout.target.version.label} is through, and the version before "
            "is going away; `heliostat rollback` goes back to it"
        )
    text = f"{word.by} aborted it{_because(word.reason)}"
    # At once: what is declared before the next look is held against it too.
    state = hold(state, rollout, now, text.splitlines()[0])
    return Step(state.with_rollout(aborted=text), ((rollout.phase, text),))


def roll_back(
    state: State, desired: Desired, observed: Observed, order: RollbackRequest, now: float, origin: Origin | None = None
) -> State:
    """`state` that goes back to `desired`, which served before, without stages; what it leaves is refused from now on.

    Raises:
        OrderError: it serves already, or is on its way, or the application is being taken away.
    """
    label = desired.version.label
    if state.deleting:
        raise OrderError(f"{state.name} is being taken away: declare it again first")
    rollout, live = state.rollout, state.slot(state.live).desired if state.live is not None else None
    moving = rollout is not None and not rollout.ended and rollout.phase not in SETTLED
    target = state.declared if state.pending else rollout.target if moving and rollout is not None else live
    if target is not None and identity(target) == identity(desired):
        where = "is on its way already" if moving or state.pending else "serves already"
        raise OrderError(f"{state.name}: {label} {where}; `heliostat history {state.name}` lists what served before")
    number = rollout.number if rollout is not None else 0
    reason = f"{order.by} went back to {label}{_because(order.reason)}"
    for left in (live, target):
        if left is not None and identity(left) != identity(desired):
            state = remember(state, left, number, now, reason, desired)
    state = forget(state, desired)
    return state.but(declared=desired, origin=origin, pending=True, returning=True)


def _meant(state: State, word: ActionRequest) -> Progress:
    """The rollout that a person speaks of."""
    rollout = state.rollout
    if rollout is None or rollout.ended:
        ended = f"; the last one, {rollout.number}, ended: {rollout.phase.value}" if rollout is not None else ""
        raise OrderError(f"{state.name}: no rollout is on its way{ended}")
    if word.rollout is not None and word.rollout != rollout.number:
        raise OrderError(f"{state.name}: rollout {word.rollout} is not on its way; rollout {rollout.number} is")
    return rollout


def _is_on_its_way(state: State, desired: Desired) -> bool:
    """Whether exactly `desired` is being rolled out, and nobody turned it back."""
    rollout = state.rollout
    if rollout is None or rollout.ended or rollout.aborted is not None or state.deleting:
        return False
    return rollout.target == desired and rollout.phase is not Phase.ROLLING_BACK


def _serves(state: State, desired: Desired, observed: Observed) -> bool:
    return state.live is not None and state.slot(state.live).desired == desired and nothing_to_do(state, desired, observed)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


__all__ = [
    "OrderError",
    "RefusedError",
    "abort",
    "approve",
    "declare",
    "delete",
    "fingerprint",
    "refusal",
    "retry",
    "roll_back",
]
