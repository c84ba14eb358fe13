"""Gitea and Forgejo, by their REST API v1."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import httpx

from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Comment, Gate, PullRequest
from heliostat.systems.forges.like_github import LikeGitHub, comment_of, standing_of
from heliostat.systems.forges.rest import MOST_RUNS, RestClient


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
        # These forges have no approvals: what somebody has started by hand is what may go on. A job that failed is left to
        # people, and so is what was started before it.
        runs = f"{self._repository}/actions/runs"
        last: dict[str, str | int] = {"branch": branch, "event": "workflow_dispatch", "limit": MOST_RUNS}
        for run in self._of_actions("GET", runs, params=last)["workflow_runs"] or ():
            told = self._of_actions("GET", f"{runs}/{run['id']}/jobs", params={"limit": MOST_RUNS})
            jobs = {each["name"]: each for each in told["jobs"] or ()}
            if name not in jobs:
                continue
            if jobs[name].get("conclusion") == "failure":
                return
            standing = standing_of(jobs[name], jobs.get(behind, {}))
            where = f"{run['id']}/jobs/{jobs[name]['id']}"
            yield Gate(where, run["head_sha"], run["html_url"], standing, max(1, int(run.get("run_attempt") or 1)))

    def begin_again(self, gate: Gate) -> None:  # noqa: D102
        self._of_actions("POST", f"{self._repository}/actions/runs/{gate.job}/rerun")

    def _of_actions(self, method: str, path: str, **said: Any) -> Any:
        answer = self._client.call(method, path, none_at=(404, 405), **said)
        if answer is None:
            raise PermanentError(
                f"{method} {path} is not there: this forge begins no job again, as Gitea does from 1.26 on. Start it by hand"
            )
        return answer

    def _pull_request(self, said: Mapping[str, Any]) -> PullRequest:
        head, base = said["head"], said["base"]
        from_fork = head.get("repo_id") != base.get("repo_id")
        return PullRequest(int(said["number"]), head["ref"], base["ref"], said["html_url"], from_fork, head.get("sha") or "")
