"""What was applied to each stack last, by the history beside its state, and what differs from that by now.

An earlier merge that was not applied, for it failed, waits for an approval or was passed over, is so part of the next plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.engine.config.project import Project
from heliostat.engine.state.history import Entry
from heliostat.gitops.affected import LOST, AffectedStack, affected, both
from heliostat.gitops.trees import read_trees, unpacked
from heliostat.systems import git
from heliostat.systems.errors import PermanentError
from heliostat.systems.git_branches import has_commit

NEVER: Final = "nothing was applied to it yet"
FAILED: Final = "its last update failed"
KILLED: Final = "what was done to it last was killed"
BEGUN: Final = "something that is done to it has not ended"
GOES_ON: Final = "its last update goes on"
UNKNOWN: Final = "what was applied is of no commit"
DESTROYED: Final = "some of it was destroyed"
DRIFTED: Final = "a refresh found that the world differs"
IMPORTED: Final = "something was imported into its state"
_CHANGES: Final = frozenset({"update", "destroy", "refresh", "import", "resource-import"})
"""Operations after which a stack may not be what it was."""
_LOOKS: Final = frozenset({"same", "read", "refresh"})
"""What a refresh counts that found no difference."""


@dataclass(frozen=True)
class Applied:
    """What a stack was brought to."""

    commit: str = ""
    """Empty where no commit has it."""
    why_unknown: str = ""
    since: int = 0
    """When the update began, seconds since 1970."""
    parts: tuple[str, ...] = ()
    """The commits that some of it was brought to since then, by updates of a few resources, the latest first."""
    going: str = ""
    """The commit of a later update that goes on by itself: it is on its way, and not applied yet."""


def last_applied(entries: Iterable[Entry]) -> Applied:
    """What a stack was brought to, by its operations, the latest first; no more of them are read than it takes.

    An update that was told to leave something alone (`--target`, `--exclude`) brings a stack to nothing: what it left is to be
    applied still. What it did is of another commit, though.
    """
    parts: dict[str, None] = {}
    for entry in entries:
        if (why := _why_unknown(entry)) is not None:
            return Applied(why_unknown=why, going=_going(entry))
        if entry.kind != "update":
            continue
        commit = _commit_of(entry)
        if not entry.is_partial:
            return Applied(commit, since=entry.start_time, parts=tuple(each for each in parts if each != commit))
        parts[commit] = None
    return Applied(why_unknown=NEVER)


def whole_commit(entry: Entry) -> str:
    """The commit that an operation brought all of a stack to; empty where it did not."""
    is_whole = entry.kind == "update" and not entry.is_partial and _why_unknown(entry) is None
    return _commit_of(entry) if is_whole else ""


def _going(entry: Entry) -> str:
    """The commit that an update is on its way to, by itself, with all of a stack; empty where none is."""
    return _commit_of(entry) if entry.result == "goes-on" and not entry.is_partial else ""


def _commit_of(entry: Entry) -> str:
    """The commit that has what an operation was given; empty where none has."""
    return entry.environment.get("git.head", "") if entry.environment.get("git.dirty") != "true" else ""


def _why_unknown(entry: Entry) -> str | None:
    """Why nobody knows what a stack is after an operation, whatever was before; None where what was before says it, or its own
    commit does."""
    if entry.kind not in _CHANGES:
        return None
    if entry.is_open or entry.was_killed:
        return KILLED if entry.was_killed else BEGUN
    match entry.kind, entry.result:
        case "refresh", _:
            # What it found is written down now, so that the next update, and only that, makes it as it is declared.
            return DRIFTED if any(count and what not in _LOOKS for what, count in entry.changes.items()) else None
        case "import" | "resource-import", _:
            return IMPORTED
        case _, "goes-on":
            return GOES_ON
        case _, result if result != "succeeded":
            return FAILED
        case "destroy", _:
            return DESTROYED if entry.is_partial else NEVER
    return None if _commit_of(entry) else UNKNOWN


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
    known = {stack: {last.commit, *last.parts} for stack, last in applied.items() if last.commit}
    commits = sorted(set().union(*known.values()))
    missing = {commit for commit in commits if not has_commit(root, environment, commit)}
    if missing and not git.is_whole(root, environment):
        raise PermanentError(
            f"this clone does not have {', '.join(sorted(missing))}, which was applied: fetch the whole history (CI systems "
            "fetch one commit by default)"
        )
    found |= {stack: AffectedStack(stack, (LOST,)) for stack, those in known.items() if those & missing}
    there = [commit for commit in commits if commit not in missing]
    if there:
        with unpacked(project, environment, there) as folders:
            *befores, after = read_trees([*folders, root], project)
        for commit, before in zip(there, befores, strict=True):
            of_it = {stack for stack, those in known.items() if commit in those and not those & missing}
            for each in affected(before, after):
                if each.stack in of_it:
                    found[each.stack] = both(found[each.stack], each) if each.stack in found else each
    return [found[stack] for stack in sorted(found)]
