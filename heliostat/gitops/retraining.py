"""A retraining as a commit: what is to be trained with is changed in a stack's config, by a pull request that says why.

Nothing is trained by this: whoever merges it has the next `up` train, and the gate judges what comes of it, as ever.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heliostat.engine.config import yamledit
from heliostat.gitops.markdown import code, text_of
from heliostat.gitops.pins import pin_in, section_of
from heliostat.gitops.shortening import shortened
from heliostat.spec.workload import Workload
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Forge, PullRequest
from heliostat.systems.git_branches import Branches, push_edit


@dataclass(frozen=True)
class RetrainingProposal:
    """Why a workload is to be trained again in a stack, and with what."""

    workload: str
    stack: str
    reasons: tuple[str, ...]
    """In words, as `heliostat.monitoring.retraining.Decision` has them."""
    changes: Mapping[str, Any]
    """Values by their place below the workload in the config, as `training.parameters.rounds`; None takes away what is there.
    A training is named by what decides about it: where none of that changes, it would be the one that is there."""
    by_monitors: tuple[str, ...] = ()
    """Which monitors' proposals it is made of, each by a text that no other one has; none where a person proposes."""
    takes_back: bool = False
    """Whether it undoes a proposal whose candidate was refused."""
    facts: tuple[str, ...] = ()
    """What else is to be known of it before it is merged, in words."""

    @property
    def branch(self) -> str:
        """One a workload and stack: what is proposed last counts. What monitors propose touches nothing that people do."""
        return f"{'monitor' if self.by_monitors else 'retrain'}/{self.workload}-in-{self.stack}"

    @property
    def marks(self) -> tuple[str, ...]:
        """Lines of the pull request's text, by which one that somebody closed is not opened again."""
        if self.by_monitors:
            return tuple(mark_of(each, takes_back=self.takes_back) for each in self.by_monitors)
        said = repr((self.reasons, sorted(self.changes.items())))
        return (f"<!-- heliostat: retraining {sha256(said.encode()).hexdigest()[:16]} -->",)

    @property
    def title(self) -> str:
        """One line: the commit's, the pull request's."""
        if self.takes_back:
            return f"Take back what {self.workload} was trained with in {self.stack}"
        return f"Train {self.workload} again in {self.stack}"


def mark_of(proposal: str, *, takes_back: bool) -> str:
    """The line that says which monitor's proposal a pull request is made of, or takes back."""
    return f"<!-- heliostat: {'takes back' if takes_back else 'is'} the retraining {proposal} -->"


def propose_retraining(
    proposal: RetrainingProposal,
    folder: Path,
    environment: Mapping[str, str],
    file: Path,
    remote: tuple[str, str],
    forge: Forge,
) -> PullRequest | None:
    """Push a proposal and open its pull request, or bring the open one to it.

    None where the remote's base says all of it already, or somebody closed this very proposal. `file` is the stack's config,
    `remote` the remote's name and its base. Called again with the same, it does nothing more.

    Raises:
        PermanentError: the stack trains no such workload, the changes do not fit it, or git or the forge refuse.
        RetryableError: the forge does not answer.
    """
    declined = forge.declined_texts(proposal.branch)
    if any(mark in text for text in declined for mark in proposal.marks):
        return None
    message = "\n".join([proposal.title, "", *proposal.reasons, ""])
    name, base = remote

    def edit(text: str) -> str:
        return changed(text, file.name, proposal)

    if not push_edit(folder, environment, Branches(name, base, proposal.branch), file, edit, message):
        return None
    return forge.open_pull_request(proposal.branch, base, proposal.title, shortened(text_for(proposal), forge.longest_comment))


def changed(text: str, file: str, proposal: RetrainingProposal) -> str:
    """The config with a proposal's changes; its comments and the order of the rest stay.

    Raises:
        PermanentError: it has no such workload, or pins its model; or what comes of it would be a mistake.
    """
    pin = pin_in(text, file, proposal.workload)
    if pin is not None:
        raise PermanentError(
            f"{file} pins {pin} for {proposal.workload}, so nothing is trained there: propose it for the stack that trains it"
        )
    if not proposal.changes:
        raise PermanentError(f"nothing of {proposal.workload} would change, and the same training be taken: name a parameter")
    key = section_of(text, file)[0]
    for place, value in proposal.changes.items():
        try:
            text = _with(text, ("config", key, proposal.workload, *place.split(".")), value)
        except yamledit.EditError as error:
            raise PermanentError(f"{file}: {place} of {proposal.workload} cannot be changed: {error}") from None
    try:
        Workload.model_validate(section_of(text, file)[1][proposal.workload] or {})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        raise PermanentError(f"{file}: {proposal.workload} would have mistakes: {wrong}") from None
    return text


def _with(text: str, path: tuple[str, ...], value: Any) -> str:
    if value is not None:
        return yamledit.put(text, path, str(value) if isinstance(value, datetime.date) else value)
    there: Any = yamledit.load(text)
    for step in path:
        there = there.get(step) if isinstance(there, Mapping) else None
    return text if there is None else yamledit.drop(text, path)


def value_at(text: str, file: str, workload: str, place: str) -> Any:
    """What a config says at a place below a workload; None where it says nothing there.

    Raises:
        PermanentError: it is no YAML.
    """
    found: Any = section_of(text, file)[1].get(workload)
    for step in place.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def text_for(proposal: RetrainingProposal) -> str:
    """The text of its pull request, as Markdown."""
    where = f"{text_of(proposal.workload)} in the stack {text_of(proposal.stack)}"
    if proposal.takes_back:
        begins, ends = (
            f"What {where} was trained with anew came to nothing:",
            "What serves was trained with these values. While the config says others, each `up` finds the refused candidate.",
        )
    else:
        begins = f"{where} is to be trained again:"
        ends = "The next `up` behind the merge trains it, and its gate judges it."
    lines = [*proposal.marks, "", begins, "", *(f"- {text_of(reason)}" for reason in proposal.reasons), "", "with", ""]
    said = {place: "what it is by default" if value is None else code(str(value)) for place, value in proposal.changes.items()}
    changes = (f"- {code(place)}: {value}" for place, value in said.items())
    facts = ["", *(f"{text_of(fact)}." for fact in proposal.facts)] if proposal.facts else []
    return "\n".join([*lines, *changes, *facts, "", ends])
