"""Forges: where pull requests and their comments are. GitHub, GitLab and Gitea (with Forgejo) behind one protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request, as it stands."""

    id: str
    author: str
    text: str
    at: float = 0.0
    """When it was written, by the forge's clock, Unix time; seconds."""
    edited: bool = False
    """Whether its text is another one than was written first: on some forges others than its author may change it."""
    url: str = ""
    """Where people read it; empty where the forge does not say."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, which GitLab calls a merge request."""

    number: int
    head: str
    """The branch that is to be merged."""
    base: str
    """The branch that it goes into."""
    url: str
    from_fork: bool
    """Whether the branch is in another repository: what it brings is anybody's."""
    commit: str = ""
    """What the branch is at; empty where the forge does not say."""


class Standing(StrEnum):
    """How a job stands that others wait behind."""

    NOT_REACHED = "not reached"
    """It has not begun, and does not by itself: what comes before it failed, or somebody took it back."""
    GOES_ON = "goes on"
    OPEN = "open"
    """What waits behind it may go on."""
    CLOSED = "closed"
    """It ended, and nothing behind it was begun."""


@dataclass(frozen=True)
class Gate:
    """A job of a run that others wait behind: a push's, or where a forge has no approvals what somebody started by hand."""

    job: str
    """By which the forge knows it; empty where the run has not got to it."""
    commit: str
    url: str
    """Where people read of the run."""
    standing: Standing
    attempts: int = 1
    """How often it was begun."""


class Forge(Protocol):
    """One repository on a forge.

    Raises PermanentError where the forge refuses, and RetryableError where it does not answer, or asks to wait for longer than
    anybody waits here.
    """

    longest_comment: int
    """Characters that a comment, or a pull request's text, may have."""

    @property
    def own_login(self) -> str:
        """The account that the token is of, as it stands as the author of what it writes."""

    def comments(self, number: int) -> list[Comment]:
        """The comments on a pull request, oldest first."""

    def add_comment(self, number: int, text: str) -> Comment:
        """Comment on a pull request."""

    def edit_comment(self, number: int, comment: str, text: str) -> bool:
        """Put another text in a comment; False where somebody has deleted it, or the token may not change it."""

    def delete_comment(self, number: int, comment: str) -> None:
        """Delete a comment; nothing where it is gone, or the token may not."""

    def pull_request(self, number: int) -> PullRequest:
        """A pull request by its number."""

    def open_pull_request_of(self, head: str) -> PullRequest | None:
        """The open pull request of a branch of this repository; None where there is none."""

    def open_pull_request(self, head: str, base: str, title: str, text: str) -> PullRequest:
        """Open one; where one is open for the same branches, that one gets title and text."""

    def pull_requests_with(self, commit: str) -> list[PullRequest]:
        """The pull requests of this repository's branches that brought a commit of their base: merged as it, or with it."""

    def declined_texts(self, head: str) -> list[str]:
        """The texts of the pull requests of a branch of this repository that somebody closed unmerged."""

    def gates(self, branch: str, name: str, behind: str) -> Iterator[Gate]:
        """The jobs `name` in the last runs of a branch, the latest first; each lets the job `behind` begin.

        Raises:
            PermanentError: this forge tells nothing of its runs, too.
        """

    def begin_again(self, gate: Gate) -> None:
        """Have it begun again, with what waits behind it; it is approved there as ever."""

    def close_pull_request(self, number: int, text: str) -> None:
        """Close one unmerged, with another text: that nobody declined it. Its branch stays."""
