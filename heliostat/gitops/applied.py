"""What was applied to each stack last, by the history beside its state, and what differs from that by now.

An earlier merge that was not applied, for it failed, waits for an approval or was passed over, is so part of the next plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.engine.config.project import Project
from heliostat.engine.state.history import Entry
from heliostat.gitops.affected import LOST, AffectedStack, affected
from heliostat.gitops.trees import read_trees, unpacked
from heliostat.systems import git
from heliostat.systems.errors import PermanentError
from heliostat.systems.git_branches import has_commit

NEVER: Final = "nothing was applied to it yet"
FAILED: Final = "its last update failed"
UNKNOWN: Final = "what was applied is of no commit"
_CHANGES: Final = frozenset({"update", "destroy", "resource-import"})
"""Operations after which a stack is not what it was; a refresh only looks."""


@dataclass(frozen=True)
class Applied:
    """What a stack was brought to."""

    commit: str = ""
    """Empty where no commit has it."""
    why_unknown: str = ""
    since: int = 0
    """When the update began, seconds since 1970."""


def last_applied(entries: Iterable[Entry]) -> Applied:
    """What a stack was brought to, by its operations, the latest first; no more of them are read than it takes."""
    for entry in entries:
        if entry.kind not in _CHANGES:
            continue
        if entry.result != "succeeded":
            return Applied(why_unknown=FAILED)
        if entry.kind == "destroy":
            return Applied(why_unknown=NEVER)
        if entry.kind == "update":
            commit = entry.environment.get("git.head", "")
            is_whole = commit and entry.environment.get("git.dirty") != "true"
            return Applied(commit, since=entry.start_time) if is_whole else Applied(why_unknown=UNKNOWN)
    return Applied(why_unknown=NEVER)


def affected_since_applied(
    project: Project, environment: Mapping[str, str], applied: Mapping[str, Applied]
) -> list[AffectedStack]:
    """The stacks of `applied` that differ between the checkout as it is and what was applied to each, by name.

    All of a stack may differ where that is not known.

    Raises:
        PermanentError: few commits were fetched, or a stack's config cannot be read.
    """
    root = project.root
    found = {stack: AffectedStack(stack, (last.why_unknown,)) for stack, last in applied.items() if not last.commit}
    known = {stack: last.commit for stack, last in applied.items() if last.commit}
    commits = sorted({*known.values()})
    missing = {commit for commit in commits if not has_commit(root, environment, commit)}
    if missing and not git.is_whole(root, environment):
        raise PermanentError(
            f"this clone does not have {', '.join(sorted(missing))}, which was applied: fetch the whole history (CI systems "
            "fetch one commit by default)"
        )
    found |= {stack: AffectedStack(stack, (LOST,)) for stack, commit in known.items() if commit in missing}
    there = [commit for commit in commits if commit not in missing]
    if there:
        with unpacked(project, environment, there) as folders:
            *befores, after = read_trees([*folders, root], project)
        for commit, before in zip(there, befores, strict=True):
            of_it = {stack for stack, each in known.items() if each == commit}
            found |= {each.stack: each for each in affected(before, after) if each.stack in of_it}
    return [found[stack] for stack in sorted(found)]
