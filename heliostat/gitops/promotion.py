"""Promotion, and going back, as commits: a pin on a branch of its own, and a pull request that says what is pinned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heliostat.gitops.evaluations import document_at
from heliostat.gitops.model_card import Card, card_text
from heliostat.gitops.pins import pin_in, pinned
from heliostat.gitops.shortening import shortened
from heliostat.spec.addresses import Access
from heliostat.spec.snapshot_settings import SAMPLE_TAG, sample_text
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.forges import Forge, PullRequest
from heliostat.systems.git_branches import Branches, head_of, push_edit
from heliostat.systems.mlflow_lineage import DATA_TAG, TRAINING_TAG
from heliostat.systems.mlflow_registry import Registry

_REFUSED: Final = "refused"
_TAGS: Final = {"verdict": "heliostat.verdict", "refusal": "heliostat.refusal", "report": "heliostat.report"}
_TRIES: Final = 3


class RefusedVersionError(PermanentError):
    """The version is one that its gate refused."""


@dataclass(frozen=True)
class Pin:
    """What a stack's config is to pin."""

    workload: str
    stack: str
    version: str
    """`models:/<name>/<number>`"""
    branch: str
    title: str
    why: str
    mark: str = ""
    """A line of the pull request's text that people do not see."""


def card_of(version: str, platform: Mapping[str, Any]) -> Card:
    """What the registry of a platform, by what it exports, knows of a version.

    Raises:
        PermanentError: it is not there.
        RefusedVersionError: its gate refused it.
        RetryableError: the registry does not answer.
    """
    uri, access = str(platform.get("trackingUri") or ""), platform.get("trackingAccess")
    if not uri:
        raise PermanentError("the stack exports no platform with a registry: bring it up first")
    with Registry(uri, access=Access.model_validate(access) if access else None) as registry:
        found = registry.version(version)
        if found is None:
            raise PermanentError(
                f"{version} is not in the registry at {uri}, which the stack serves from: promote a version that is there, or "
                "have both stacks share a registry"
            )
        run = registry.run(found.run_id) if found.run_id else None
    tags = run.tags if run else {}
    if tags.get(_TAGS["verdict"]) == _REFUSED:
        raise RefusedVersionError(f"{version} was refused by its gate: {tags.get(_TAGS['refusal'], 'nobody says why')}")
    report_uri = found.tags.get(_TAGS["report"], "")
    return Card(
        version,
        found.run_id,
        found.tags.get(DATA_TAG, ""),
        run.parameters if run else {},
        document_at(report_uri, platform.get("store")),
        report_uri,
        float(found.tags[SAMPLE_TAG]) if SAMPLE_TAG in found.tags else None,
        tags.get(TRAINING_TAG, ""),
    )


def require_whole(card: Card) -> None:
    """See that a version is fit for another stack.

    Raises:
        RefusedVersionError: it was trained on a sample.
    """
    if card.sample is not None:
        raise RefusedVersionError(
            f"{card.version} was trained and judged on {sample_text(card.sample)}: promote one of whole data, from a stack "
            "whose config has no `snapshots.sample`"
        )


def propose(
    pin: Pin,
    card: Card,
    file: Path,
    remote: tuple[str, str],
    forge: Forge,
    pusher: Pusher,
) -> PullRequest | None:
    """Push the pin and open its pull request, or bring the open one to it; None where the remote's base pins it already.

    `remote` is the remote's name and its base. Proposed again, the branch and the pull request are the same, and what was
    proposed last is what they say: both, also where two propose at once.

    Raises:
        RetryableError: others propose without end.
    """
    name, base = remote
    seen: list[str | None] = []

    def edit(text: str) -> str:
        seen.append(pin_in(text, file.name, pin.workload))
        return pinned(text, file.name, pin.workload, pin.version)

    where = Branches(name, base, pin.branch)
    for _ in range(_TRIES):
        commit = pusher.push(where, edit, f"{pin.title}\n\n{pin.why}\n")
        if not commit:
            return None
        text = card_text(card, pin.stack, pin.workload, seen[0], pin.why)
        text = f"{pin.mark}\n\n{text}" if pin.mark else text
        opened = forge.open_pull_request(pin.branch, base, pin.title, shortened(text, forge.longest_comment))
        if pusher.head(where) == commit:
            return opened
    raise RetryableError(f"somebody else proposes on {pin.branch}, too, all the time; run it again to have yours count")


@dataclass(frozen=True)
class Pusher:
    """Pushes edits of a file by git."""

    folder: Path
    environment: Mapping[str, str]
    file: Path

    def push(self, where: Branches, edit: Callable[[str], str], message: str) -> str:
        """See `push_edit`."""
        return push_edit(self.folder, self.environment, where, self.file, edit, message)

    def head(self, where: Branches) -> str:
        """The commit that the branch is at now."""
        return head_of(self.folder, self.environment, where.remote, where.branch)
