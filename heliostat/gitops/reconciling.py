"""Has the repository say again what serves, where something went back: by a pull request, whose branch is its only memory.

What it does is seen in the world each time, by the remote's branches and the forge's pull requests. So it does the same
again as if once, and goes on with what was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from heliostat.engine.config.project import Project
from heliostat.gitops.affected import GONE, Tree, affected
from heliostat.gitops.markdown import text_of
from heliostat.gitops.model_card import Card
from heliostat.gitops.pins import pin_in
from heliostat.gitops.promotion import Pin, Pusher, propose
from heliostat.gitops.restoring import config_below, restore_config, restore_files, restored_files
from heliostat.gitops.shortening import shortened
from heliostat.gitops.trees import read_trees, unpacked
from heliostat.gitops.went_back import WentBack, is_settled, went_back
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Status
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Forge
from heliostat.systems.git_branches import Branches, fetch, has_commit, push_change, text_at, top_of

_OF_ALL: Final = {"program", "project", "library", GONE}
"""What differs in all of a stack, workloads included."""


class Standing(StrEnum):
    """How repository and what serves stand to each other."""

    IN_STEP = "in step"
    """The repository declares what serves, or something that is yet to be brought up."""
    PROPOSED = "proposed"
    """A pull request says again what serves."""
    DECLINED = "declined"
    """Somebody closed that pull request."""
    MOVING = "on its way"
    """A rollout decides first."""
    FAILED = "failed"
    """Something did not answer, or refused; the next run goes on."""
    BY_HAND = "by hand"
    """They differ, and what to change cannot be told from here."""


DIFFERING: Final = frozenset({Standing.BY_HAND, Standing.FAILED})
"""Where somebody has to see to it."""


@dataclass(frozen=True)
class Reconciled:
    """What came of one application."""

    stack: str
    workload: str
    """Empty where the whole stack does not answer."""
    standing: Standing
    told: str
    url: str = ""


@dataclass(frozen=True)
class Reconciliation:
    """A repository and its forge.

    Raises PermanentError or RetryableError from what acts; what was done until then stands, and is found again.
    """

    project: Project
    environment: Mapping[str, str]
    remote: str
    base: str
    forge: Forge
    card_of: Callable[[str, str], Card]
    """What the registry of a stack, the second, knows of a version, the first."""

    def reconcile(self, stack: str, workload: str, status: Status, entries: Iterable[Entry]) -> Reconciled:
        """See to one application of a stack; `entries` are those of its ledger, the newest first."""
        if not is_settled(status):
            return Reconciled(stack, workload, Standing.MOVING, "a rollout is on its way")
        found = went_back(status, entries, workload, stack)
        if found is None:
            return self._in_step(stack, workload, "it serves what was declared")
        head = fetch(self.project.root, self.environment, self.remote, f"refs/heads/{self.base}")
        if not found.rejected_commit:
            return self._without_commit(found, head)
        self._require(found.rejected_commit)
        with unpacked(self.project, self.environment, [found.rejected_commit, head]) as folders:
            rejected, present = read_trees(folders, self.project)
            if _differs(rejected, present, stack, workload):
                return self._in_step(stack, workload, f"{self.base} declares something else by now")
            if found.differs_by_model_alone:
                return self._proposed(found, self._pin)
            return self._restored(found, present)

    # What is proposed

    def _without_commit(self, found: WentBack, head: str) -> Reconciled:
        """Of what nobody knows the commit of, a pin tells whether it is declared still."""
        file = config_below(self.project, found.stack)
        text = text_at(self.project.root, self.environment, head, file)
        pin = pin_in(text, file.name, found.workload)
        if found.differs_by_model_alone and pin == found.rejected.model_uri:
            return self._proposed(found, self._pin)
        if pin is not None and pin != found.rejected.model_uri:
            return self._in_step(found.stack, found.workload, f"{self.base} pins {pin}")
        return _by_hand(found, "it was brought up from a checkout that differed from its commit, or was in none")

    def _pin(self, found: WentBack) -> str | None:
        version = found.serving.model_uri
        title = f"Go back to {version.removeprefix('models:/')} in {found.stack}"
        pin = Pin(found.workload, found.stack, version, branch_of(found.stack, found.workload), title, found.text, found.mark)
        file = self.project.stack_file(found.stack)
        card = self.card_of(version, found.stack)
        push = Pusher(self.project.root, self.environment, file)
        opened = propose(pin, card, file, (self.remote, self.base), self.forge, push)
        return opened.url if opened else None

    def _restored(self, found: WentBack, present: Tree) -> Reconciled:
        if not found.serving_commit:
            return _by_hand(found, "nobody knows the commit of what serves")
        self._require(found.serving_commit)
        with unpacked(self.project, self.environment, [found.serving_commit]) as (source,):
            (serving,) = read_trees([source], self.project)
            if shared := [name for name in serving.shared if serving.shared[name] != present.shared.get(name)]:
                return _by_hand(found, f"they differ in what all stacks are made with: {', '.join(shared)}")
            try:
                names = restored_files(found.workload, serving, present)
            except PermanentError as error:
                return _by_hand(found, str(error))
            done = self._proposed(found, lambda each: self._restore(each, names, source))
        if done.standing is Standing.IN_STEP:
            return _by_hand(found, f"none of its files differs from those of {found.serving_commit[:12]}")
        return done

    def _restore(self, found: WentBack, names: tuple[str, ...], source: Path) -> str | None:
        root = self.project.root.resolve()
        below = root.relative_to(top_of(root, self.environment))
        title = f"Go back to {found.serving.label} in {found.stack}"

        def change(tree: Path) -> None:
            restore_files(names, source, tree / below)
            restore_config(found.workload, config_below(self.project, found.stack), source, tree / below)

        where = Branches(self.remote, self.base, branch_of(found.stack, found.workload))
        commit = found.serving_commit[:12]
        if not push_change(root, self.environment, where, change, f"{title}\n\nAs it was at {commit}.\n"):
            return None
        text = (
            f"{found.mark}\n\n{found.text}\n\nCode and config of {found.workload} are those of {commit}, of which it serves."
        )
        return self.forge.open_pull_request(where.branch, self.base, title, shortened(text, self.forge.longest_comment)).url

    # What all of them have in common

    def _proposed(self, found: WentBack, open_it: Callable[[WentBack], str | None]) -> Reconciled:
        branch = branch_of(found.stack, found.workload)
        if any(found.mark in text for text in self.forge.declined_texts(branch)):
            told = f"somebody closed the pull request that goes back from {found.rejected.label}"
            return Reconciled(found.stack, found.workload, Standing.DECLINED, told)
        url = open_it(found)
        if url is None:
            return self._in_step(found.stack, found.workload, f"{self.base} declares what serves")
        told = f"it went back from {found.rejected.label} to {found.serving.label}"
        return Reconciled(found.stack, found.workload, Standing.PROPOSED, told, url)

    def _in_step(self, stack: str, workload: str, why: str) -> Reconciled:
        """A pull request that is open still says what nobody needs any more: merged, it would undo what came after."""
        there = self.forge.open_pull_request_of(branch_of(stack, workload))
        if there is not None:
            self.forge.close_pull_request(there.number, f"This is not needed any more: {text_of(why)}.")
        return Reconciled(stack, workload, Standing.IN_STEP, why)

    def _require(self, commit: str) -> None:
        """See that a commit is here, or fetch it: CI systems fetch few."""
        if not has_commit(self.project.root, self.environment, commit):
            fetch(self.project.root, self.environment, self.remote, commit)


def branch_of(stack: str, workload: str) -> str:
    """The branch whose pull request goes back to what serves."""
    return f"rollback/{workload}-in-{stack}"


def _differs(rejected: Tree, present: Tree, stack: str, workload: str) -> bool:
    """Whether an update of the present tree declares another application than the one that was rejected."""
    found = next((each for each in affected(rejected, present) if each.stack == stack), None)
    return found is not None and (workload in found.workloads or bool(_OF_ALL & {*found.whole}))


def _by_hand(found: WentBack, why: str) -> Reconciled:
    told = f"it went back from {found.rejected.label} to {found.serving.label}, and the repository declares the former: {why}"
    return Reconciled(found.stack, found.workload, Standing.BY_HAND, told)
