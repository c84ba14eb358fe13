"""GitHub, and GitHub Enterprise Server, by version 2022-11-28 of their REST API."""

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


class GitHub(LikeGitHub):
    """A repository `owner/name`."""

    longest_comment = 65_536

    def __init__(
        self,
        url: str,
        repository: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        rights = (
            "`permissions: {pull-requests: write, contents: write}` of the workflow, for `ci resume` also `actions: write`"
        )
        client = RestClient(url, headers, rights=rights, transport=transport, sleep=sleep)
        self._owner = repository.partition("/")[0]
        # Of Enterprise Server, REST is at /api/v3 and GraphQL at /api/graphql.
        self._graphql = f"{url.rstrip('/').removesuffix('/v3')}/graphql"
        super().__init__(client, repository)

    @cached_property
    def own_login(self) -> str:  # noqa: D102 - see Forge
        # A job's token, and an app's, is of no user that REST's /user would name; GraphQL names whoever asks.
        said = self._client.call("POST", self._graphql, is_question=True, json={"query": "{ viewer { login } }"})
        login = ((said.get("data") or {}).get("viewer") or {}).get("login")
        if not login:
            told = "; ".join(str(each.get("message")) for each in said.get("errors") or ()) or "nothing"
            raise PermanentError(f"{self._graphql} does not say whose token this is: {told}")
        return str(login)

    def comments(self, number: int) -> list[Comment]:  # noqa: D102 - see Forge
        return [comment_of(each) for each in self._client.pages(f"{self._repository}/issues/{number}/comments", "per_page")]

    def open_pull_request_of(self, head: str) -> PullRequest | None:  # noqa: D102
        parameters = {"state": "open", "head": f"{self._owner}:{head}"}
        found = self._client.call("GET", f"{self._repository}/pulls", params=parameters)
        return self._pull_request(found[0]) if found else None

    def pull_requests_with(self, commit: str) -> list[PullRequest]:  # noqa: D102
        # 422 of a commit that was never pushed.
        found = self._client.call("GET", f"{self._repository}/commits/{commit}/pulls", none_at=(404, 422))
        return [self._pull_request(each) for each in found or () if each.get("merged_at")]

    def declined_texts(self, head: str) -> list[str]:  # noqa: D102
        where = f"{self._repository}/pulls"
        found = self._client.pages(where, "per_page", state="closed", head=f"{self._owner}:{head}")
        return [each.get("body") or "" for each in found if not each.get("merged_at")]

    def gates(self, branch: str, name: str, behind: str) -> Iterator[Gate]:  # noqa: D102
        actions = f"{self._repository}/actions/runs"
        last = {"branch": branch, "event": "push", "per_page": MOST_RUNS}
        for run in self._client.call("GET", actions, params=last)["workflow_runs"]:
            told = self._client.call("GET", f"{actions}/{run['id']}/jobs", params={"filter": "latest", "per_page": 100})
            jobs = {each["name"]: each for each in told["jobs"]}
            if name in jobs:
                standing = standing_of(jobs[name], jobs.get(behind, {}))
                yield Gate(str(jobs[name]["id"]), run["head_sha"], run["html_url"], standing, int(run["run_attempt"]))

    def begin_again(self, gate: Gate) -> None:  # noqa: D102
        self._client.call("POST", f"{self._repository}/actions/jobs/{gate.job}/rerun", may_be_empty=True)

    def _pull_request(self, said: Mapping[str, Any]) -> PullRequest:
        theirs = (said["head"].get("repo") or {}).get("full_name")  # None: the fork is deleted
        ours = (said["base"].get("repo") or {}).get("full_name")
        head, base = said["head"], said["base"]
        return PullRequest(
            int(said["number"]), head["ref"], base["ref"], said["html_url"], theirs != ours, head.get("sha") or ""
        )
