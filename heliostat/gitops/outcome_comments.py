"""Tells on each pull request what came of the rollouts that it brought: by one comment, kept up to date.

A rollout goes on when the job that began it is gone (`--detach`); which pull request it is of, its commit says, or its branch
where it is of a branch's environment. Nothing is kept of it but the comment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from heliostat.gitops.commenting import find_comment, keep_comment
from heliostat.gitops.rollout_outcomes import MARK, RolloutOutcome, by_pull_request, text_with
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.forges import Forge, PullRequest


@dataclass(frozen=True)
class Told:
    """What was told on a pull request."""

    number: int
    url: str
    rollouts: tuple[RolloutOutcome, ...]
    failure: str = ""
    """Why it could not be told; the next run tells it."""


def commit_alone(outcome: RolloutOutcome) -> Sequence[str]:
    """The commit that declared a rollout."""
    return (outcome.commit,)


def tell(
    forge: Forge,
    outcomes: Iterable[RolloutOutcome],
    branches: Mapping[str, str],
    commits_of: Callable[[RolloutOutcome], Sequence[str]] = commit_alone,
) -> list[Told]:
    """Tell all of it; a pull request whose comment fails holds up no other.

    `branches` are those of environments, by name. `commits_of` says which commits of the base a rollout is of: earlier merges
    went out with it. What no pull request brought is told nowhere.

    Raises:
        PermanentError: the forge refuses to say which pull requests there are.
        RetryableError: it does not answer.
    """
    pulls = _Pulls(forge, branches, commits_of)
    pairs = [(pull, outcome) for outcome in outcomes for pull in pulls.of(outcome)]
    found = {pull.number: pull for pull, _ in pairs}
    rows = by_pull_request((pull.number, outcome) for pull, outcome in pairs)
    return [_told(forge, found[number], tuple(told)) for number, told in sorted(rows.items())]


def _told(forge: Forge, pull: PullRequest, outcomes: tuple[RolloutOutcome, ...]) -> Told:
    try:
        there = find_comment(forge, pull.number, MARK)
        text = text_with(there.text if there is not None else "", outcomes, forge.longest_comment)
        keep_comment(forge, pull.number, text, MARK)
    except (PermanentError, RetryableError) as error:
        return Told(pull.number, pull.url, outcomes, str(error))
    return Told(pull.number, pull.url, outcomes)


class _Pulls:
    """Which pull requests brought what, each asked once. None that comes from a fork: its environment nobody made."""

    def __init__(
        self, forge: Forge, branches: Mapping[str, str], commits_of: Callable[[RolloutOutcome], Sequence[str]]
    ) -> None:
        self._forge, self._branches, self._commits_of = forge, branches, commits_of
        self._known: dict[str, list[PullRequest]] = {}

    def of(self, outcome: RolloutOutcome) -> list[PullRequest]:
        branch = self._branches.get(outcome.stack)
        if branch is not None:
            return self._once(f"branch {branch}", lambda: self._of_branch(branch))
        # A merge by rebase is of several commits, all of one pull request.
        found = {pull.number: pull for commit in self._commits_of(outcome) for pull in self._with(commit)}
        return [*found.values()]

    def _with(self, commit: str) -> list[PullRequest]:
        return self._once(commit, lambda: self._forge.pull_requests_with(commit))

    def _of_branch(self, branch: str) -> list[PullRequest]:
        there = self._forge.open_pull_request_of(branch)
        return [there] if there is not None else []

    def _once(self, key: str, ask: Callable[[], list[PullRequest]]) -> list[PullRequest]:
        if key not in self._known:
            self._known[key] = ask()
        return self._known[key]
