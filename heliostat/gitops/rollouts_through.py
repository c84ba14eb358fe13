"""Whether what was applied to a stack is through: its rollouts ended well, and what it declares is what serves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.spec.formatting import percent
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


def not_through(declared: Mapping[str, str], statuses: Mapping[str, Status], commit: str) -> Iterator[NotThrough]:
    """What is in the way, application by application.

    `declared` has the digest of what the stack declares for each; `commit` is the one that is asked about.
    """
    for name, digest in sorted(declared.items()):
        status = statuses.get(name)
        if status is None or status.pending:
            yield NotThrough(name, "its rollout has not begun", may_come=True)
            continue
        rollout = status.rollout
        if rollout is not None and rollout.phase not in _QUIET:
            is_back = rollout.phase is Phase.ROLLING_BACK
            yield NotThrough(name, _back(rollout) if is_back else _under_way(rollout), may_come=not is_back)
            continue
        serves_it = status.serving is not None and status.serving.digest == digest
        failed = rollout is not None and rollout.phase is Phase.FAILED
        of_this = rollout is not None and rollout.origin is not None and rollout.origin.known_commit == commit
        if rollout is not None and failed and (of_this or not serves_it):
            yield NotThrough(name, _back(rollout), may_come=False)
        elif not serves_it:
            serving = f"{status.serving.label} serves" if status.serving is not None else "nothing serves"
            yield NotThrough(name, f"{serving}, and not what was applied: it was rolled back", may_come=False)


def _under_way(rollout: Rollout) -> str:
    step = f", step {rollout.step + 1} of {len(rollout.steps)}" if len(rollout.steps) > 1 else ""
    what = "waits for a person" if rollout.phase is Phase.WAITING else f"is {rollout.phase.value}"
    return f"rollout {rollout.number} {what}, with {percent(rollout.candidate_weight)} of the traffic{step}"


def _back(rollout: Rollout) -> str:
    reason = next((line.strip() for line in (rollout.error or "").splitlines() if line.strip()), "nobody said why")
    return f"rollout {rollout.number} was rolled back: {reason}"
