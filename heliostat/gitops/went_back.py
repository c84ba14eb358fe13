"""What an application went back from, by what its controller and its ledger say; and how what serves differs from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from heliostat.gitops.markdown import code, text_of
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import BlockedVersion, Phase, Status, Version

_OF_THE_MODEL: Final = {"digest", "label", "model_uri", "data_digest", "environment"}
"""Where two versions differ that have another model and nothing else."""
_QUIET: Final = (Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED)
"""In which nothing moves that could still end otherwise."""


@dataclass(frozen=True)
class WentBack:
    """An application that was rolled back, by itself or by a person."""

    workload: str
    stack: str
    refused: BlockedVersion
    """Why, and in which rollout."""
    rejected: Version
    rejected_commit: str
    """At which it was declared; empty where that is not known, or the checkout differed from it."""
    serving: Version
    serving_commit: str

    @property
    def differs_by_model_alone(self) -> bool:
        """Whether a pin makes what serves of what was rejected."""
        one, other = (each.model_dump(exclude=_OF_THE_MODEL) for each in (self.rejected, self.serving))
        return one == other and self.rejected.model_uri != self.serving.model_uri

    @property
    def mark(self) -> str:
        """A line of its pull request's text, by which one that somebody closed is known: it is not opened again."""
        rollout = f"{self.refused.fingerprint[:16]} in rollout {self.refused.rollout}"
        return f"<!-- heliostat: {self.workload} of {self.stack} went back from {rollout} -->"

    @property
    def text(self) -> str:
        """What happened, as Markdown."""
        reason = next(iter(self.refused.reason.strip().splitlines()), "nobody said why")
        versions = f"from {code(self.rejected.label)} to {code(self.serving.label)}"
        where = f"{text_of(self.workload)} in the stack {text_of(self.stack)}"
        return f"{where} went back {versions}, in rollout {self.refused.rollout}: {text_of(reason)}"


def is_settled(status: Status) -> bool:
    """Whether nothing is on its way that could still end otherwise."""
    return not status.pending and (status.rollout is None or status.rollout.phase in _QUIET)


def went_back(status: Status, entries: Iterable[Entry], workload: str, stack: str) -> WentBack | None:
    """What was rolled back last; None where nothing was.

    `entries` are those of the application's ledger, the newest first; no more of them are read than it takes.
    """
    if not status.refused or status.serving is None:
        return None
    refused = status.refused[0]
    rejected: tuple[Version, str] | None = None
    serving_commit = ""
    for entry in entries:
        target = entry.target.version
        if target.label == refused.label and (rejected is None or not rejected[1]):
            rejected = (target, _commit(entry))
        if target.digest == status.serving.digest:
            serving_commit = serving_commit or _commit(entry)
        if rejected is not None and rejected[1] and serving_commit:
            break
    return None if rejected is None else WentBack(workload, stack, refused, *rejected, status.serving, serving_commit)


def _commit(entry: Entry) -> str:
    return entry.origin.known_commit if entry.origin is not None else ""
