"""GitLab, by its REST API v4. Its merge requests are pull requests here, their notes comments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import httpx

from heliostat.systems.forges import Comment, Gate, PullRequest, Standing
from heliostat.systems.forges.moments import moment, was_edited
from heliostat.systems.forges.rest import GONE_OR_REFUSED, MOST_RUNS, THERE_IS_ONE, RestClient

_STANDINGS: Final = {
    "success": Standing.OPEN,
    "failed": Standing.CLOSED,
    "canceled": Standing.NOT_REACHED,
    "skipped": Standing.NOT_REACHED,
    "manual": Standing.NOT_REACHED,
}


class GitLab:
    """A project, by `group/name` or its number, on a server whose API is at `url`, as `https://gitlab.com/api/v4`."""

    longest_comment = 1_000_000

    def __init__(
        self,
        url: str,
        repository: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        rights = (
            "the scope `api` and the role Developer (a job's own token cannot write notes); for `ci resume` it also has to be"
            " allowed to merge into the branch"
        )
        self._client = RestClient(url, {"PRIVATE-TOKEN": token}, rights=rights, transport=transport, sleep=sleep)
        self._project = f"/projects/{quote(repository, safe='')}"

    @cached_property
    def own_login(self) -> str:  # noqa: D102 - see Forge
        return str(self._client.call("GET", "/user")["username"])

    def comments(self, number: int) -> list[Comment]:  # noqa: D102 - see Forge
        path = f"{self._project}/merge_requests/{number}/notes"
        found = self._client.pages(path, "per_page", sort="asc", order_by="created_at")
        return [_comment(each) for each in found if not each.get("system")]

    def add_comment(self, number: int, text: str) -> Comment:  # noqa: D102
        return _comment(self._client.call("POST", f"{self._project}/merge_requests/{number}/notes", json={"body": text}))

    def edit_comment(self, number: int, comment: str, text: str) -> bool:  # noqa: D102
        path = f"{self._project}/merge_requests/{number}/notes/{comment}"
        return self._client.call("PUT", path, none_at=GONE_OR_REFUSED, json={"body": text}) is not None

    def delete_comment(self, number: int, comment: str) -> None:  # noqa: D102
        path = f"{self._project}/merge_requests/{number}/notes/{comment}"
        self._client.call("DELETE", path, none_at=GONE_OR_REFUSED, may_be_empty=True)

    def pull_request(self, number: int) -> PullRequest:  # noqa: D102
        return _pull_request(self._client.call("GET", f"{self._project}/merge_requests/{number}"))

    def open_pull_request_of(self, head: str) -> PullRequest | None:  # noqa: D102
        parameters = {"state": "opened", "source_branch": head}
        found = map(_pull_request, self._client.call("GET", f"{self._project}/merge_requests", params=parameters))
        return next((each for each in found if not each.from_fork), None)

    def open_pull_request(self, head: str, base: str, title: str, text: str) -> PullRequest:  # noqa: D102
        said = {"title": title, "description": text, "target_branch": base}
        path, opened = f"{self._project}/merge_requests", {**said, "source_branch": head, "remove_source_branch": True}
        there = self.open_pull_request_of(head)
        if there is None:
            made = self._client.call("POST", path, none_at=THERE_IS_ONE, json=opened)
            if made is not None:
                return _pull_request(made)
            # Another job opened it meanwhile, or the forge has something against it, which it says once more.
            there = self.open_pull_request_of(head)
        if there is None:
            return _pull_request(self._client.call("POST", path, json=opened))
        return _pull_request(self._client.call("PUT", f"{path}/{there.number}", json=said))

    def pull_requests_with(self, commit: str) -> list[PullRequest]:  # noqa: D102
        path = f"{self._project}/repository/commits/{commit}/merge_requests"
        found = self._client.call("GET", path, none_at=(404,))
        return [_pull_request(each) for each in found or () if each["state"] == "merged"]

    def declined_texts(self, head: str) -> list[str]:  # noqa: D102
        found = self._client.pages(f"{self._project}/merge_requests", "per_page", state="closed", source_branch=head)
        return [each.get("description") or "" for each in found if not _pull_request(each).from_fork]

    def gates(self, branch: str, name: str, behind: str) -> Iterator[Gate]:  # noqa: D102
        last = {"ref": branch, "source": "push", "per_page": MOST_RUNS}
        for pipeline in self._client.call("GET", f"{self._project}/pipelines", params=last):
            path = f"{self._project}/pipelines/{pipeline['id']}/jobs"
            found = [each for each in self._client.pages(path, "per_page", include_retried="true") if each["name"] == name]
            if found:
                job = max(found, key=lambda each: int(each["id"]))
                standing = _STANDINGS.get(job["status"], Standing.GOES_ON)
                yield Gate(str(job["id"]), pipeline["sha"], pipeline["web_url"], standing, len(found))

    def begin_again(self, gate: Gate) -> None:  # noqa: D102
        self._client.call("POST", f"{self._project}/jobs/{gate.job}/retry", may_be_empty=True)

    def close_pull_request(self, number: int, text: str) -> None:  # noqa: D102
        said = {"state_event": "close", "description": text}
        self._client.call("PUT", f"{self._project}/merge_requests/{number}", json=said)


def _pull_request(said: Mapping[str, Any]) -> PullRequest:
    from_fork = said["source_project_id"] != said["target_project_id"]
    commit = said.get("sha") or ""
    return PullRequest(int(said["iid"]), said["source_branch"], said["target_branch"], said["web_url"], from_fork, commit)


def _comment(said: Mapping[str, Any]) -> Comment:
    author, at = str((said.get("author") or {}).get("username", "")), moment(str(said.get("created_at") or ""))
    return Comment(str(said["id"]), author, str(said.get("body") or ""), at, was_edited(said))
