"""What GitHub's REST API and those that were made after it have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from heliostat.systems.forges import Comment, PullRequest, Standing
from heliostat.systems.forges.moments import moment, was_edited
from heliostat.systems.forges.rest import GONE_OR_REFUSED, THERE_IS_ONE, RestClient


class LikeGitHub(ABC):
    """A repository `owner/name`, whose pull requests are issues too."""

    def __init__(self, client: RestClient, repository: str) -> None:
        self._client = client
        self._repository = f"/repos/{repository}"

    @abstractmethod
    def open_pull_request_of(self, head: str) -> PullRequest | None:  # noqa: D102 - see Forge
        ...

    @abstractmethod
    def _pull_request(self, said: Mapping[str, Any]) -> PullRequest: ...

    def add_comment(self, number: int, text: str) -> Comment:  # noqa: D102
        return comment_of(self._client.call("POST", f"{self._repository}/issues/{number}/comments", json={"body": text}))

    def edit_comment(self, number: int, comment: str, text: str) -> bool:  # noqa: D102
        path = f"{self._repository}/issues/comments/{comment}"
        return self._client.call("PATCH", path, none_at=GONE_OR_REFUSED, json={"body": text}) is not None

    def delete_comment(self, number: int, comment: str) -> None:  # noqa: D102
        path = f"{self._repository}/issues/comments/{comment}"
        self._client.call("DELETE", path, none_at=GONE_OR_REFUSED, may_be_empty=True)

    def pull_request(self, number: int) -> PullRequest:  # noqa: D102
        return self._pull_request(self._client.call("GET", f"{self._repository}/pulls/{number}"))

    def open_pull_request(self, head: str, base: str, title: str, text: str) -> PullRequest:  # noqa: D102
        said, path = {"title": title, "body": text, "base": base}, f"{self._repository}/pulls"
        there = self.open_pull_request_of(head)
        if there is None:
            made = self._client.call("POST", path, none_at=THERE_IS_ONE, json={**said, "head": head})
            if made is not None:
                return self._pull_request(made)
            # Another job opened it meanwhile, or the forge has something against it, which it says once more.
            there = self.open_pull_request_of(head)
        if there is None:
            return self._pull_request(self._client.call("POST", path, json={**said, "head": head}))
        return self._pull_request(self._client.call("PATCH", f"{path}/{there.number}", json=said))

    def close_pull_request(self, number: int, text: str) -> None:  # noqa: D102
        self._client.call("PATCH", f"{self._repository}/pulls/{number}", json={"state": "closed", "body": text})


def comment_of(said: Mapping[str, Any]) -> Comment:
    """A comment as such an API writes it."""
    author, at = str((said.get("user") or {}).get("login", "")), moment(str(said.get("created_at") or ""))
    url = str(said.get("html_url") or "")
    return Comment(str(said["id"]), author, str(said.get("body") or ""), at, was_edited(said), url)


def standing_of(gate: Mapping[str, Any], behind: Mapping[str, Any]) -> Standing:
    """How a job stands; what it has not let begin was passed over."""
    if gate["status"] != "completed":
        return Standing.GOES_ON
    if gate["conclusion"] in ("skipped", "cancelled"):
        return Standing.NOT_REACHED
    is_open = gate["conclusion"] == "success" and behind.get("conclusion") != "skipped"
    return Standing.OPEN if is_open else Standing.CLOSED
