"""Sees to what monitors propose: opens pull requests, tells monitors what came of them, and undoes what came to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from heliostat.engine.config.project import Project
from heliostat.gitops.markdown import text_of
from heliostat.gitops.model_card import Card
from heliostat.gitops.promotion import Pin, Pusher, propose
from heliostat.gitops.restoring import config_below
from heliostat.gitops.retraining import RetrainingProposal, propose_retraining, value_at
from heliostat.gitops.watched_retraining import (
    BRANCHES,
    Retrained,
    Standing,
    Training,
    Watched,
    before_in,
    name_of,
    place_of,
    proposal_of,
    says,
    taking_back,
    trainings,
    was_declined,
)
from heliostat.monitoring.proposals import Proposal
from heliostat.spec.monitoring import Refusal
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.forges import Forge
from heliostat.systems.git_branches import fetch, has_commit, heads_below, text_at, texts_before

_MOST_COMMITS: Final = 50
"""Of a config file that are looked through for the value that a proposal replaced."""


@dataclass(frozen=True)
class Served:
    """What a stack serves of a workload since a rollout that ended well."""

    model_uri: str
    commit: str
    """At which it was declared."""


@dataclass(frozen=True)
class Retrainings:
    """A repository, its forge, and what is asked of the stacks.

    Raises PermanentError or RetryableError from what acts; what was done until then stands, and is found again.
    """

    project: Project
    environment: Mapping[str, str]
    remote: str
    base: str
    forge: Forge
    end: Callable[[Watched, float | None], None]
    """Tells a monitor that its open proposal was refused, by a person or by a gate, and what it cost in USD."""
    refusals: Callable[[str, str, float], Sequence[Refusal]]
    """The candidates of a stack's workload that its gate refused after a Unix time."""
    served: Callable[[str, str, float], Served | None]
    """What a stack serves of a workload since a rollout that ended well after a Unix time."""
    card_of: Callable[[str, str], Card]
    """What the registry of a stack, the second, knows of a version, the first."""

    def see_to(self, watched: Sequence[Watched], stacks: Sequence[str]) -> list[Retrained]:
        """See to all of it; one training that fails holds up no other. `stacks` are those that may train."""
        head = fetch(self.project.root, self.environment, self.remote, f"refs/heads/{self.base}")
        configs = {stack: self._config(head, stack) for stack in stacks}
        found, done = trainings(watched, configs)
        branches = heads_below(self.project.root, self.environment, self.remote, BRANCHES)
        for training in found:
            try:
                done += self._see_to(training, configs[training.stack], head, has_branch=training.branch in branches)
            except (PermanentError, RetryableError) as error:
                wanted = [each for each in training.watched if each.proposal is not None] or training.watched[:1]
                done += [Retrained(each.stack, each.workload, Standing.FAILED, str(error)) for each in wanted]
        return done

    def _see_to(self, training: Training, config: str, head: str, *, has_branch: bool) -> Iterator[Retrained]:
        declined = self.forge.declined_texts(training.branch) if any(each.proposal for each in training.watched) else []
        wanted = []
        for each in training.watched:
            if each.proposal is None:
                continue
            if was_declined(each, declined):
                self.end(each, 0.0)  # nothing was trained
                yield _told(each, Standing.DECLINED, "somebody closed its pull request; the monitor waits before the next")
            elif each.proposal.change is None:
                yield _told(each, Standing.BY_HAND, f"its policy names no `dataParameter`: {'; '.join(each.proposal.reasons)}")
            elif says(config, training.stack, training.workload, each.proposal):
                yield self._declared(training, each, each.proposal, head)
            else:
                wanted.append(each)
        if wanted:
            yield from self._propose(training, wanted)
            return
        undone = next(self._undone(training, config, head), None)
        if undone is not None:
            yield undone
        elif has_branch:
            self._close(training)

    def _propose(self, training: Training, wanted: Sequence[Watched]) -> Iterator[Retrained]:
        url = self._pull(proposal_of(training, wanted)) or ""
        for each in wanted:
            yield _told(each, Standing.PROPOSED, "; ".join(each.proposal.reasons if each.proposal else ()), url)

    def _declared(self, training: Training, each: Watched, proposal: Proposal, head: str) -> Retrained:
        """What came of what was merged. A monitor knows by itself what its own stack's gate says, and which version comes."""
        where = f"{self.base} says so, and the next update of {training.stack} trains it"
        if each.stack == training.stack:
            return _told(each, Standing.DECLARED, where)
        since = proposal.at.timestamp()
        if refused := self.refusals(training.stack, training.workload, since):
            self.end(each, each.expected_cost_usd)
            return _told(each, Standing.REFUSED, f"the gate of {training.stack}: {'; '.join(refused[-1].reasons)}")
        served = self.served(training.stack, training.workload, since)
        if served is None or served.model_uri == proposal.model_uri:
            return self._same(training, each, proposal) or _told(each, Standing.DECLARED, where)
        if not self._came_of(training, served, proposal):
            return _told(each, Standing.DECLARED, where)
        return self._promote(training, each, served, head)

    def _same(self, training: Training, each: Watched, proposal: Proposal) -> Retrained | None:
        """Where the version that the monitor wants trained anew was trained with what is proposed: there is no other."""
        last = self.served(training.stack, training.workload, 0.0)
        if last is None or last.model_uri != proposal.model_uri or not self._came_of(training, last, proposal):
            return None
        self.end(each, 0.0)
        return _told(
            each, Standing.REFUSED, f"{last.model_uri} was trained with that in {training.stack}, and nothing newer is there"
        )

    def _came_of(self, training: Training, served: Served, proposal: Proposal) -> bool:
        """Whether what a stack serves was declared at a commit that says what is proposed."""
        is_known = has_commit(self.project.root, self.environment, served.commit)
        config = self._config(served.commit, training.stack) if is_known else ""
        return says(config, training.stack, training.workload, proposal)

    def _promote(self, training: Training, each: Watched, served: Served, head: str) -> Retrained:
        """The version to the stack whose monitor asked for it; not one that was there, and was taken back."""
        version, mark = served.model_uri, f"<!-- heliostat: the outcome of the retraining {name_of(each)} -->"
        branch = f"promote/{each.workload}-to-{each.stack}"
        if any(mark in text for text in self.forge.declined_texts(branch)):
            self.end(each, each.expected_cost_usd)
            return _told(each, Standing.DECLINED, f"somebody closed the pull request that brings {version}")
        below = config_below(self.project, each.stack)
        now, *before = (
            value_at(text, each.stack, each.workload, "model")
            for text in texts_before(self.project.root, self.environment, head, below, _MOST_COMMITS)
        )
        if version in before and version != now:
            self.end(each, each.expected_cost_usd)
            return _told(each, Standing.REFUSED, f"{each.stack} pinned {version} before, and does no more")
        title = f"Promote {version.removeprefix('models:/')} to {each.stack}"
        why = f"It serves in {training.stack}, and was trained as the monitor in {each.stack} proposed."
        pin = Pin(each.workload, each.stack, version, branch, title, why, mark)
        file = self.project.stack_file(each.stack)
        push = Pusher(self.project.root, self.environment, file)
        card = self.card_of(version, each.stack)
        opened = propose(pin, card, file, (self.remote, self.base), self.forge, push)
        if opened is None:
            return _told(each, Standing.DECLARED, f"{self.base} pins {version}, and the next update of {each.stack} serves it")
        return _told(each, Standing.PROMOTED, f"{version} serves in {training.stack}", opened.url)

    def _undone(self, training: Training, config: str, head: str) -> Iterator[Retrained]:
        """What was merged, trained and refused is undone, while the config says it still."""
        for each in training.watched:
            refused = each.refused
            if refused is None or refused.change is None or each.proposal is not None:
                continue
            if value_at(config, training.stack, training.workload, place_of(refused)) != refused.value:
                continue
            file = config_below(self.project, training.stack)
            texts = texts_before(self.project.root, self.environment, head, file, _MOST_COMMITS)
            before = before_in(texts, training.stack, training.workload, refused)
            url = self._pull(taking_back(training, each, refused, before))
            if url is None:
                yield _told(each, Standing.DECLINED, "somebody closed the pull request that takes it back")
            else:
                yield _told(each, Standing.TAKEN_BACK, "; ".join(each.why_refused), url)

    def _pull(self, proposal: RetrainingProposal) -> str | None:
        root, file = self.project.root, self.project.stack_file(proposal.stack)
        opened = propose_retraining(proposal, root, self.environment, file, (self.remote, self.base), self.forge)
        return opened.url if opened is not None else None

    def _close(self, training: Training) -> None:
        """A pull request that nobody asks for any more is closed: merged, it would change what is right by now."""
        there = self.forge.open_pull_request_of(training.branch)
        if there is not None:
            why = f"what serves of {training.workload} is not to be trained again by now"
            self.forge.close_pull_request(there.number, f"This is not needed any more: {text_of(why)}.")

    def _config(self, commit: str, stack: str) -> str:
        return text_at(self.project.root, self.environment, commit, config_below(self.project, stack))


def _told(each: Watched, standing: Standing, told: str, url: str = "") -> Retrained:
    return Retrained(each.stack, each.workload, standing, told, url)
