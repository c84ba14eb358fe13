"""Which merges came out with an update: those since what was applied before, as far as they touch what was rolled out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from heliostat.engine.config.project import Project
from heliostat.engine.state.history import Entry
from heliostat.gitops.affected import AffectedStack, affected
from heliostat.gitops.applied import whole_commit
from heliostat.gitops.rollout_outcomes import RolloutOutcome
from heliostat.gitops.trees import read_trees, unpacked
from heliostat.gitops.unchanged import ALL, Differing, differing
from heliostat.systems.errors import PermanentError
from heliostat.systems.git import first_parents

MOST: Final = 20
"""Merges of one update that are looked at, the last ones; each of them is unpacked."""
_MOST_ENTRIES: Final = 200


def applied_before(entries: Iterable[Entry], commit: str) -> str:
    """The commit that a stack had before one was applied to it; empty where nobody knows, or it had none.

    `entries` are those of its history, the latest first.
    """
    is_past = False
    for entry in itertools.islice(entries, _MOST_ENTRIES):
        if entry.kind == "destroy" and is_past:
            return ""
        if entry.kind != "update":
            continue
        if entry.environment.get("git.head") == commit:
            is_past = True
        elif is_past and (found := whole_commit(entry)):
            return found
    return ""


@dataclass
class Merges:
    """The commits of a base's own line by the updates that brought them; each update is looked at once."""

    project: Project
    environment: Mapping[str, str]
    history: Callable[[str], Iterable[Entry]]
    """What was done to a stack, the latest first."""
    say: Callable[[str], None]
    _known: dict[tuple[str, str], Mapping[str, AffectedStack]] = field(default_factory=dict)

    def of(self, outcome: RolloutOutcome) -> Sequence[str]:
        """The commits whose changes a rollout brought out, the oldest first, by the judgement of `ci affected`. Where none of
        them touches its application, or that cannot be told, it is the commit that was applied.
        """
        key = outcome.stack, outcome.commit
        if key not in self._known:
            self._known[key] = self._merged(*key)
        those = [*self._known[key].items()]
        # What an update began that failed then is told already.
        first = next((place + 1 for place, (commit, _) in enumerate(those) if commit == outcome.after), 0)
        found = [commit for commit, stack in those[first:] if stack.whole or outcome.application in stack.workloads]
        return found or [outcome.commit]

    def _merged(self, stack: str, commit: str) -> Mapping[str, AffectedStack]:
        """The commits that came out with one, the oldest first, each with what it changed of a stack; none where that is not
        known, or it came alone.
        """
        before = applied_before(self.history(stack), commit)
        if not before:
            return {}
        those = first_parents(self.project.root, self.environment, before, commit, MOST)
        if those is None:
            self.say(
                f"warning: this clone does not have {before[:12]} or {commit[:12]}, so what came of {stack} is told on the "
                "pull request of the latter alone: fetch the whole history (CI systems fetch one commit by default)"
            )
            return {}
        if those in ([], [commit]):
            return {}
        try:
            return self._affected(stack, those)
        except PermanentError as error:
            self.say(f"warning: nobody can tell which merges before {commit[:12]} touch {stack}: {error}")
            return {}

    def _affected(self, stack: str, those: Sequence[str]) -> Mapping[str, AffectedStack]:
        # Each is compared with the one before it: after a push by force that is not what was applied.
        with unpacked(self.project, self.environment, [f"{those[0]}^1", *those]) as folders:
            which = _union(differing(*pair) for pair in itertools.pairwise(folders))
            trees = read_trees(folders, self.project, which)
        steps = zip(those, itertools.pairwise(trees), strict=True)
        changed = {commit: [each for each in affected(*pair) if each.stack == stack] for commit, pair in steps}
        return {commit: found[0] if found else AffectedStack(stack) for commit, found in changed.items()}


def _union(those: Iterable[Differing]) -> Differing:
    """What may differ in any of some steps."""
    names: set[str] = set()
    for each in those:
        if each.workloads is None:
            return ALL
        names |= each.workloads
    return Differing(frozenset(names))
