"""GitHub, GitLab and Gitea with the REST paths that are in use, as their documentation has them, over one repository."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
from played_runs import PlayedRuns

from heliostat.systems.forges import Forge
from heliostat.systems.forges.gitea import Gitea
from heliostat.systems.forges.github import GitHub
from heliostat.systems.forges.gitlab import GitLab

TOKEN = "secret-token"
NAME = "acme/models"
OWN = "heliostat[bot]"
"""Whose the token is."""


@dataclass
class PlayedRepository:
    """What a forge keeps: comments by number, pull requests by number."""

    comments: dict[int, dict[str, str]] = field(default_factory=lambda: {7: {}})
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    trouble: list[httpx.Response | Exception | None] = field(default_factory=list)
    """What the next requests are answered with, in the place of what they ask for; None lets one through."""
    rival: Callable[[], object] | None = None
    """What another job does just before the next pull request is opened."""
    commenter: Callable[[], object] | None = None
    """What another job does just before the next comment is written."""
    lost: int = 0
    """How many of the next comments are taken, and not answered."""
    refused: str = ""
    """What is in the paths of requests that the token may not make; empty: it may all."""
    merged_as: dict[str, int] = field(default_factory=dict)
    """The pull requests that were merged, by the commit that came of it."""
    asked: list[str] = field(default_factory=list)
    authors: dict[str, str] = field(default_factory=dict)
    """Of comments, by their ids."""
    may_edit_others: bool = True
    """Whether the token may change what others wrote, as one of who may write to the repository may."""
    runs: PlayedRuns = field(default_factory=PlayedRuns)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(100))

    def pull(self, head: str, base: str = "main", *, fork: bool = False, number: int = 7) -> None:
        self.pulls[number] = {"head": head, "base": base, "title": "", "text": "", "fork": fork, "state": "open"}
        self.comments.setdefault(number, {})

    def merge(self, number: int, commit: str) -> None:
        self.pulls[number]["state"] = "merged"
        self.merged_as[commit] = number

    def comment(self, number: int, text: str, author: str = "ada") -> str:
        made = str(next(self._numbers))
        self.comments[number][made], self.authors[made] = text, author
        return made

    def delete(self, comment: str) -> object:
        had = [each.pop(comment, None) for each in self.comments.values()]
        return NOTHING if any(each is not None for each in had) else MISSING

    def open(self, said: dict[str, str]) -> int:
        number = next(self._numbers)
        self.pulls[number] = {**said, "fork": False, "state": "open"}
        self.comments[number] = {}
        return number

    def with_state(self, state: str | None, head: str = "") -> list[int]:
        """The pull requests of a branch, of all where none is named, that are `open` or `closed`; those merged are closed."""
        found = ((number, one) for number, one in self.pulls.items() if not head or one["head"] == head)
        return [number for number, one in found if (one["state"] == "open") == (state in (None, "open", "opened"))]


Handler = Callable[[PlayedRepository, str, str, dict[str, Any]], Any]
MISSING = object()
NOTHING = object()
"""An answer without a word, 204."""


def _github(repository: PlayedRepository, method: str, path: str, said: dict[str, Any]) -> Any:
    def pull(number: int) -> dict[str, Any]:
        one = repository.pulls[number]
        theirs = None if one["fork"] else {"full_name": NAME}
        return {
            "number": number,
            "state": "open" if one["state"] == "open" else "closed",
            "merged_at": "2026-01-01T00:00:00Z" if one["state"] == "merged" else None,
            "merged": one["state"] == "merged",
            "title": one["title"],
            "body": one["text"],
            "html_url": f"https://forge/pull/{number}",
            "head": {"ref": one["head"], "sha": one.get("commit", ""), "repo": theirs, "repo_id": 2 if one["fork"] else 1},
            "base": {"ref": one["base"], "repo": {"full_name": NAME}, "repo_id": 1},
        }

    return _hub(repository, method, path, said, pull)


def _hub(
    repository: PlayedRepository, method: str, path: str, said: dict[str, Any], pull: Callable[[int], dict[str, Any]]
) -> Any:
    parts = path.split("/")
    match method, parts:
        case "GET", ["issues", number, "comments"]:
            found = repository.comments[int(number)].items()
            return [{"id": int(each), "body": text, "user": {"login": repository.authors[each]}} for each, text in found]
        case "POST", ["issues", number, "comments"]:
            comment = repository.comment(int(number), said["body"], OWN)
            return {"id": int(comment), "body": said["body"], "user": {"login": OWN}}
        case "PATCH", ["issues", "comments", each]:
            for comments in repository.comments.values():
                if each in comments:
                    comments[each] = said["body"]
                    return {"id": int(each), "body": said["body"], "user": None}
            return MISSING
        case "GET", ["pulls"]:
            head = said.get("head", "").partition(":")[2]
            return [pull(number) for number in repository.with_state(said.get("state"), head)]
        case "POST", ["pulls"]:
            made = repository.open({"head": said["head"], "base": said["base"], "title": said["title"], "text": said["body"]})
            return pull(made)
        case "PATCH", ["pulls", number]:
            names = {"title": "title", "body": "text", "base": "base", "state": "state"}
            repository.pulls[int(number)] |= {names[each]: value for each, value in said.items()}
            return pull(int(number))
        case "GET", ["pulls", number]:
            return pull(int(number)) if int(number) in repository.pulls else MISSING
    raise AssertionError(f"{method} {path} is no path of this forge")


def _gitlab(repository: PlayedRepository, method: str, path: str, said: dict[str, Any]) -> Any:
    def merge_request(number: int) -> dict[str, Any]:
        one = repository.pulls[number]
        kept = {
            "title": one["title"],
            "description": one["text"],
            "state": one["state"].replace("open", "opened"),
            "sha": one.get("commit", ""),
        }
        ids = {"source_project_id": 2 if one["fork"] else 1, "target_project_id": 1}
        branches = {"source_branch": one["head"], "target_branch": one["base"]}
        return {"iid": number, "web_url": f"https://forge/-/merge_requests/{number}", **kept, **ids, **branches}

    match method, path.split("/"):
        case "GET", ["merge_requests", number, "notes"]:
            notes = repository.comments[int(number)].items()
            written = [
                {"id": int(each), "body": text, "author": {"username": repository.authors[each]}, "system": False}
                for each, text in notes
            ]
            return [{"id": 1, "body": "changed the title", "author": None, "system": True}, *written]
        case "POST", ["merge_requests", number, "notes"]:
            return {"id": int(repository.comment(int(number), said["body"], OWN)), "body": said["body"], "author": None}
        case "PUT", ["merge_requests", number, "notes", each]:
            if each not in repository.comments[int(number)]:
                return MISSING
            repository.comments[int(number)][each] = said["body"]
            return {"id": int(each), "body": said["body"], "author": None}
        case "GET", ["merge_requests"]:
            found = repository.with_state(said["state"], said["source_branch"])
            # One that was merged is not closed here.
            return [merge_request(number) for number in found if repository.pulls[number]["state"] != "merged"]
        case "POST", ["merge_requests"]:
            opened = {"head": said["source_branch"], "base": said["target_branch"], "title": said["title"]}
            return merge_request(repository.open({**opened, "text": said["description"]}))
        case "PUT", ["merge_requests", number]:
            names = {"title": "title", "description": "text", "target_branch": "base"}
            changes = {names[each]: value for each, value in said.items() if each in names}
            closing = {"state": "closed"} if said.get("state_event") == "close" else {}
            repository.pulls[int(number)] |= {**changes, **closing}
            return merge_request(int(number))
        case "GET", ["merge_requests", number]:
            return merge_request(int(number)) if int(number) in repository.pulls else MISSING
    raise AssertionError(f"{method} {path} is no path of this forge")


_COMMENT = re.compile(r"(?:issues/comments|merge_requests/\d+/notes)/(\d+)")
_OF_A_COMMIT = re.compile(r"(?:repository/)?commits/([0-9a-f]+)/(pull|pulls|merge_requests)")


def _brought(repository: PlayedRepository, path: re.Match[str], handler: Handler) -> Any:
    """What was merged as a commit: a list, of Gitea one or nothing."""
    number, what = repository.merged_as.get(path[1]), "merge_requests" if path[2] == "merge_requests" else "pulls"
    if number is None:
        return MISSING if path[2] == "pull" else []
    found = handler(repository, "GET", f"{what}/{number}", {})
    return found if path[2] == "pull" else [found]


_TOPS = {
    "github": (r"/repos/acme/models/(.*)", "Authorization", f"Bearer {TOKEN}", _github),
    "gitea": (r"/api/v1/repos/acme/models/(.*)", "Authorization", f"token {TOKEN}", _github),
    "gitlab": (r"/api/v4/projects/acme%2Fmodels/(.*)", "PRIVATE-TOKEN", TOKEN, _gitlab),
}


_WHO = {"github": "/graphql", "gitea": "/api/v1/user", "gitlab": "/api/v4/user"}


def _who(kind: str, said: dict[str, Any]) -> dict[str, Any]:
    """Whose the token is: of GitHub, GraphQL says it of each kind of token."""
    if kind == "github":
        assert said == {"query": "{ viewer { login } }"}
        return {"data": {"viewer": {"login": OWN}}}
    return {"username" if kind == "gitlab" else "login": OWN}


@dataclass
class PlayedForge:
    """One of the three, by its name."""

    kind: str
    repository: PlayedRepository = field(default_factory=PlayedRepository)
    slept: list[float] = field(default_factory=list)

    @property
    def forge(self) -> Forge:
        transport = httpx.MockTransport(self.answer)
        match self.kind:
            case "github":
                return GitHub("https://forge", NAME, TOKEN, transport, self.slept.append)
            case "gitea":
                return Gitea("https://forge", NAME, TOKEN, transport, self.slept.append)
        return GitLab("https://forge/api/v4", NAME, TOKEN, transport, self.slept.append)

    def url(self, number: int) -> str:
        """Where people read a pull request."""
        return f"https://forge/{'-/merge_requests' if self.kind == 'gitlab' else 'pull'}/{number}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        top, header, value, handler = _TOPS[self.kind]
        assert request.headers[header] == value
        if self.repository.trouble:
            trouble = self.repository.trouble.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            if trouble is not None:
                return trouble
        raw = request.url.raw_path.decode().partition("?")[0]
        said = dict(request.url.params) | (json.loads(request.content) if request.content else {})
        if raw == _WHO[self.kind]:
            return httpx.Response(200, json=_who(self.kind, said))
        path = re.fullmatch(top, raw)
        assert path is not None, raw
        self.repository.asked.append(f"{request.method} {path[1]}")
        if request.method == "POST" and path[1].endswith(("comments", "notes")):
            commenter, self.repository.commenter = self.repository.commenter, None
            if commenter is not None:
                commenter()
        if (self.repository.refused and self.repository.refused in path[1]) or not self._may_edit(request.method, path[1]):
            return httpx.Response(403, json={"message": "Resource not accessible"})
        if request.method == "POST" and path[1] in ("pulls", "merge_requests") and self._is_open(said):
            return httpx.Response(422 if self.kind == "github" else 409, json={"message": "There is one already"})
        return self._answered(request, handler, path[1], said)

    def _answered(self, request: httpx.Request, handler: Handler, path: str, said: dict[str, Any]) -> httpx.Response:
        of_a_commit = _OF_A_COMMIT.fullmatch(path)
        if (found := self.repository.runs.answer(self.kind, request.method, path, said)) is not None:
            pass
        elif request.method == "DELETE" and (comment := _COMMENT.fullmatch(path)) is not None:
            found = self.repository.delete(comment[1])
        elif of_a_commit is not None:
            found = _brought(self.repository, of_a_commit, handler)
        else:
            found = handler(self.repository, request.method, unquote(path), said)
        if found is NOTHING:
            return httpx.Response(204)
        if found is MISSING:
            return httpx.Response(404, json={"message": "Not Found"})
        if self.repository.lost and request.method == "POST":
            self.repository.lost -= 1
            raise httpx.ReadTimeout("the answer got lost", request=request)
        if isinstance(found, list) and "page" in said:
            size = int(said.get("per_page") or said.get("limit") or 30)
            size = min(size, repository_page(self.kind))
            page, whole = int(said["page"]), found
            found = whole[(page - 1) * size : page * size]
            if page * size < len(whole):
                return httpx.Response(200, json=found, headers={"link": f'<https://forge/?page={page + 1}>; rel="next"'})
        return httpx.Response(200, json=found)

    def _may_edit(self, method: str, path: str) -> bool:
        comment = _COMMENT.fullmatch(path)
        if method not in ("PATCH", "PUT", "DELETE") or comment is None or self.repository.may_edit_others:
            return True
        return self.repository.authors.get(comment[1], OWN) == OWN

    def _is_open(self, said: dict[str, Any]) -> bool:
        """Whether one is open that is to be opened, as another job has perhaps just done."""
        rival, self.repository.rival = self.repository.rival, None
        if rival is not None:
            rival()
        return bool(self.repository.with_state("open", said.get("head") or said["source_branch"]))


def repository_page(kind: str) -> int:
    """The most items of a page: Gitea gives fewer than the others, whatever is asked for."""
    return 50 if kind == "gitea" else 100
