"""Gitea and Forgejo, by their REST API v1."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import httpx

from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Comment, Gate, PullRequest
from heliostat.systems.forges.like_github import LikeGitHub, comment_of
from heliostat.systems.forges.rest import RestClient


class Gitea(LikeGitHub):
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
        rights = "the scopes `write:issue`, `write:repository` and `read:user`"
        headers = {"Authorization": f"token {token}"}
        client = RestClient(f"{url.rstrip('/')}/api/v1", headers, rights=rights, transport=transport, sleep=sleep)
        super().__init__(client, repository)

    @cached_property
    def own_login(self) -> str:  # noqa: D102 - see Forge
        return str(self._client.call("GET", "/user")["login"])

    def comments(self, number: int) -> list[Comment]:  # noqa: D102 - see Forge
        # All at once: this list has no pages.
        return [comment_of(each) for each in self._client.listed(f"{self._repository}/issues/{number}/comments")]

    def open_pull_request_of(self, head: str) -> PullRequest | None:  # noqa: D102
        there = map(self._pull_request, self._client.pages(f"{self._repository}/pulls", "limit", state="open"))
        return next((each for each in there if each.head == head and not each.from_fork), None)

    def pull_requests_with(self, commit: str) -> list[PullRequest]:  # noqa: D102
        # It knows those alone that were merged as this very commit.
        found = self._client.call("GET", f"{self._repository}/commits/{commit}/pull", none_at=(404,))
        return [self._pull_request(found)] if found and found.get("merged") else []

    def declined_texts(self, head: str) -> list[str]:  # noqa: D102
        found = self._client.pages(f"{self._repository}/pulls", "limit", state="closed", sort="recentupdate")
        return [
            each.get("body") or ""
            for each in found
            if not each.get("merged") and each["head"]["ref"] == head and not self._pull_request(each).from_fork
        ]

    def gates(self, branch: str, name: str, behind: str) -> Iterator[Gate]:  # noqa: D102
        raise PermanentError(
            "Gitea and Forgejo have no approvals that a job waits behind, so no job is begun again: start it by hand"
        )

    def begin_again(self, gate: Gate) -> None:  # noqa: D102
        raise AssertionError(f"{gate} is of another forge")

    def _pull_request(self, said: Mapping[str, Any]) -> PullRequest:
        head, base = said["head"], said["base"]
        from_fork = head.get("repo_id") != base.get("repo_id")
        return PullRequest(int(said["number"]), head["ref"], base["ref"], said["html_url"], from_fork, head.get("sha") or "")
