"""What monitors propose to train again becomes pull requests, and what became of these is told to the monitors.

When a training is wanted, and what holds it back (cool-down, how many in a period, budget), monitors decide. What is here
makes the commit of what they propose: one branch and one pull request a workload and the stack that trains it. It is seen
in the world each time, so it does the same again as if once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from heliostat.gitops.pins import section_of
from heliostat.gitops.retraining import RetrainingProposal, mark_of, value_at
from heliostat.monitoring.proposals import Proposal
from heliostat.spec.retraining import UNTIL
from heliostat.systems.errors import PermanentError

BRANCHES: Final = "monitor/"


class Standing(StrEnum):
    """What became of what a monitor proposed."""

    NOTHING = "nothing"
    """It proposes nothing."""
    PROPOSED = "proposed"
    """A pull request does, and is open."""
    DECLINED = "declined"
    """Somebody closed that pull request: the monitor knows, and its cool-down for what was refused begins."""
    DECLARED = "declared"
    """The repository says it already: the next update trains, or has trained."""
    REFUSED = "refused"
    """The gate of the stack that trains refused the candidate."""
    PROMOTED = "promoted"
    """A pull request brings the version that came of it to the stack whose monitor asked for it."""
    TAKEN_BACK = "taken back"
    """The gate refused the candidate, and a pull request undoes the change."""
    BY_HAND = "by hand"
    """What to change, or where, is for people to say."""
    FAILED = "failed"
    """Something did not answer, or refused; the next run goes on."""


@dataclass(frozen=True)
class Watched:
    """An application whose monitor may propose trainings."""

    stack: str
    workload: str
    proposal: Proposal | None
    """The one that is open."""
    refused: Proposal | None = None
    """The last one, where its candidate, or its pull request, was refused."""
    why_refused: tuple[str, ...] = ()

    @property
    def expected_cost_usd(self) -> float | None:
        """What the training that is proposed costs; None where nobody knows."""
        return self.proposal.expected_cost_usd if self.proposal is not None else None


@dataclass(frozen=True)
class Retrained:
    """What came of one application's monitor."""

    stack: str
    workload: str
    """Empty where the whole stack does not answer."""
    standing: Standing
    told: str
    url: str = ""


@dataclass(frozen=True)
class Training:
    """A workload, the stack that trains it, and the monitors that watch what is made of it."""

    workload: str
    stack: str
    watched: tuple[Watched, ...]

    @property
    def branch(self) -> str:
        """Of its one pull request."""
        return f"{BRANCHES}{self.workload}-in-{self.stack}"


def trainings(watched: Iterable[Watched], configs: Mapping[str, str]) -> tuple[list[Training], list[Retrained]]:
    """Which stack trains what each monitor watches: its own, else the first of `configs` that does not pin the model.

    `configs` are the stacks' config files, by stack. What no stack of these trains is told, where something is proposed.
    """
    groups: dict[tuple[str, str], list[Watched]] = {}
    nowhere = []
    for each in watched:
        order = [each.stack, *(stack for stack in configs if stack != each.stack)]
        found = next((stack for stack in order if _trains(configs[stack], stack, each.workload)), None)
        if found is not None:
            groups.setdefault((each.workload, found), []).append(each)
        elif each.proposal is not None:
            told = f"{', '.join(configs)} pin the model, or do not have it: name the stack that trains it with --stack"
            nowhere.append(Retrained(each.stack, each.workload, Standing.BY_HAND, told))
    return [Training(*key, tuple(found)) for key, found in groups.items()], nowhere


def _trains(config: str, stack: str, workload: str) -> bool:
    spec = section_of(config, stack)[1]
    found: Any = spec.get(workload) or {}
    return workload in spec and isinstance(found, Mapping) and not (found.get("model") or found.get("mlflow"))


def proposal_of(training: Training, wanted: Sequence[Watched]) -> RetrainingProposal:
    """One proposal of what monitors want of one training: all their reasons, and the latest of their days."""
    changes: dict[str, Any] = {}
    reasons: list[str] = []
    facts: list[str] = []
    for each in wanted:
        if each.proposal is None or each.proposal.change is None:
            continue
        place, value = place_of(each.proposal), each.proposal.change[1]
        changes[place] = max(changes.get(place, value), value)
        for further, there in further_of(each.proposal).items():
            changes.setdefault(further, there)
        where = "" if each.stack == training.stack else f"in {each.stack}: "
        reasons += [f"{where}{reason}" for reason in each.proposal.reasons]
        facts += [f"{where}{fact}" for fact in each.proposal.facts]
    names = tuple(map(name_of, wanted))
    return RetrainingProposal(training.workload, training.stack, tuple(reasons), changes, names, facts=tuple(facts))


def taking_back(training: Training, each: Watched, refused: Proposal, before: Mapping[str, Any]) -> RetrainingProposal:
    """What undoes a proposal: the values that were there before it, by their places."""
    reasons = each.why_refused or ("nobody said why",)
    changes = dict(before)
    name = name_of(Watched(each.stack, each.workload, refused))
    return RetrainingProposal(training.workload, training.stack, reasons, changes, (name,), takes_back=True)


def name_of(each: Watched) -> str:
    """What no other proposal is called."""
    at = f"{each.proposal.at:%Y-%m-%dT%H:%M:%S.%fZ}" if each.proposal is not None else "none"
    return f"of {each.workload} in {each.stack} at {at}"


def was_declined(each: Watched, declined: Iterable[str]) -> bool:
    """Whether somebody closed the pull request of its proposal; `declined` are the texts of those that were closed."""
    mark = mark_of(name_of(each), takes_back=False)
    return any(mark in text for text in declined)


def place_of(proposal: Proposal) -> str:
    """Where a proposal changes a config, below the workload."""
    return ".".join(proposal.change[0][1:]) if proposal.change is not None else ""


def further_of(proposal: Proposal) -> dict[str, Any]:
    """What else a proposal changes, by its places below the workload."""
    places = {".".join(path[1:]): value for path, value in proposal.changes.items()}
    return {place: value for place, value in places.items() if place != place_of(proposal)}


def says(config: str, stack: str, workload: str, proposal: Proposal) -> bool:
    """Whether a config has it train on as much as is proposed, or more: days rise as their texts do, moments are written in
    several ways."""
    there = value_at(config, stack, workload, place_of(proposal))
    if proposal.value is None or not isinstance(there, str):
        return False
    if proposal.data_parameter != UNTIL:
        return there >= proposal.value
    return _moment(there) >= _moment(proposal.value)


def _moment(text: str) -> datetime:
    """A moment, or the beginning of a day, of UTC where no zone is said; the first one of all where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def before_in(configs: Iterable[str], stack: str, workload: str, proposal: Proposal) -> dict[str, Any]:
    """What the config had in the places of a proposal's values before it, of its texts from the newest on; None: nothing.

    Raises:
        PermanentError: none of them had anything else.
    """
    for config in configs:
        there = value_at(config, stack, workload, place_of(proposal))
        if there != proposal.value:
            further = {place: value_at(config, stack, workload, place) for place in further_of(proposal)}
            return {place_of(proposal): there} | further
    raise PermanentError(
        f"no commit that is here has another {place_of(proposal)} of {workload} for {stack}: have the job fetch all commits "
        "(`fetch-depth: 0`), or change it yourself"
    )
