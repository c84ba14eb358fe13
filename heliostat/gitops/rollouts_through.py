"""Whether what was applied to a stack is through: its rollouts ended well, and what it declares is what serves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.spec.formatting import percent
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Phase, Rollout, Status

_QUIET: Final = (Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED)
"""In which nothing moves that could still end otherwise."""


@dataclass(frozen=True)
class NotThrough:
    """An application whose rollout did not end, or not well."""

    application: str
    why: str
    may_come: bool
    """Whether waiting may help."""


def not_through(
    names: Iterable[str], statuses: Mapping[str, Status], commit: str, brought: Callable[[str], str]
) -> Iterator[NotThrough]:
    """What is in the way, application by application, of those that a stack declares.

    `commit` is the one that was applied last. `brought` says, by the ledger, the digest of the version that its newest rollout
    of an application brought, empty where there was none: a stack's own state does not have what went on without a job.
    """
    for name in sorted(names):
        status = statuses.get(name)
        if status is None or status.pending:
            yield NotThrough(name, "its rollout has not begun", may_come=True)
            continue
        rollout = status.rollout
        if rollout is not None and rollout.phase not in _QUIET:
            is_back = rollout.phase is Phase.ROLLING_BACK
            yield NotThrough(name, _back(rollout) if is_back else _under_way(rollout), may_come=not is_back)
            continue
        serving = status.serving.digest if status.serving is not None else ""
        serves_it = serving == (brought(name) or (status.desired.version.digest if status.desired is not None else serving))
        failed = rollout is not None and rollout.phase is Phase.FAILED
        of_this = rollout is not None and rollout.origin is not None and rollout.origin.known_commit == commit
        if rollout is not None and failed and (of_this or not serves_it):
            yield NotThrough(name, _back(rollout), may_come=False)
        elif not serves_it:
            what = f"{status.serving.label} serves" if status.serving is not None else "nothing serves"
            yield NotThrough(name, f"{what}, and not what was applied: it was rolled back", may_come=False)


def brought_by(entries: Iterable[Entry], commit: str, since: float) -> str:
    """The digest of what the newest rollout of a commit brought; empty where it began none.

    `entries` are those of the application's ledger, the newest first; none is read from before `since`, seconds since 1970.
    """
    for entry in entries:
        if entry.at < since:
            break
        if entry.origin is not None and entry.origin.known_commit == commit:
            return entry.target.version.digest
    return ""


def _under_way(rollout: Rollout) -> str:
    step = f", step {rollout.step + 1} of {len(rollout.steps)}" if len(rollout.steps) > 1 else ""
    what = "waits for a person" if rollout.phase is Phase.WAITING else f"is {rollout.phase.value}"
    return f"rollout {rollout.number} {what}, with {percent(rollout.candidate_weight)} of the traffic{step}"


def _back(rollout: Rollout) -> str:
    reason = next((line.strip() for line in (rollout.error or "").splitlines() if line.strip()), "nobody said why")
    return f"rollout {rollout.number} was rolled back: {reason}"
