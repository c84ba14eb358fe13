"""Gitea and Forgejo, by their REST API v1."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from heliostat.systems.forges import Comment, PullRequest
from heliostat.systems.forges.rest import RestClient


class Gitea:
    """A repository `owner/name` on a server whose API is at `<url>/api/v1`."""

    longest_comment = 65_535
    """A column of MySQL; other databases take more."""

    def __init__(
        self,
        url: str,
        repository: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        rights = "the scopes `write:issue` and `write:repository`"
        headers = {"Authorization": f"token {token}"}
        self._client = RestClient(f"{url.rstrip('/')}/api/v1", headers, rights=rights, transport=transport, sleep=sleep)
        self._repository = f"/repos/{repository}"

    def comments(self, number: int) -> list[Comment]:  # noqa: D102 - see Forge
        # All at once: this list has no pages.
        return [_comment(each) for each in self._client.call("GET", f"{self._repository}/issues/{number}/comments")]

    def add_comment(self, number: int, text: str) -> Comment:  # noqa: D102
        return _comment(self._client.call("POST", f"{self._repository}/issues/{number}/comments", json={"body": text}))

    def edit_comment(self, number: int, comment: str, text: str) -> bool:  # noqa: D102
        path = f"{self._repository}/issues/comments/{comment}"
        return self._client.call("PATCH", path, none_at_404=True, json={"body": text}) is not None

    def pull_request(self, number: int) -> PullRequest:  # noqa: D102
        return _pull_request(self._client.call("GET", f"{self._repository}/pulls/{number}"))

    def open_pull_request_of(self, head: str) -> PullRequest | None:  # noqa: D102
        there = map(_pull_request, self._client.pages(f"{self._repository}/pulls", "limit", state="open"))
        return next((each for each in there if each.head == head and not each.from_fork), None)

    def open_pull_request(self, head: str, base: str, title: str, text: str) -> PullRequest:  # noqa: D102
        said = {"title": title, "body": text, "base": base}
        if there := self.open_pull_request_of(head):
            return _pull_request(self._client.call("PATCH", f"{self._repository}/pulls/{there.number}", json=said))
        return _pull_request(self._client.call("POST", f"{self._repository}/pulls", json={**said, "head": head}))


def _pull_request(said: Mapping[str, Any]) -> PullRequest:
    head, base = said["head"], said["base"]
    from_fork = head.get("repo_id") != base.get("repo_id")
    return PullRequest(int(said["number"]), head["ref"], base["ref"], said["html_url"], from_fork)


def _comment(said: Mapping[str, Any]) -> Comment:
    return Comment(str(said["id"]), str((said.get("user") or {}).get("login", "")), str(said.get("body") or ""))
