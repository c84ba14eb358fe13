"""Comments as forges tell of them: which one it was, when it was written, whether it was edited; and what they order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as some

from heliostat.gitops.command_words import Command, Mistake, Verb, command_in
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges.events import CommentEvent, comment_here, is_from_fork
from heliostat.systems.forges.gitea import Gitea
from heliostat.systems.forges.github import GitHub
from heliostat.systems.forges.gitlab import GitLab

DAY = 86_400.0
NOTE = {
    "object_kind": "note",
    "user": {"username": "ada"},
    "object_attributes": {"id": 12, "note": "/approve", "noteable_type": "MergeRequest", "action": "create"},
    "merge_request": {"id": 1, "iid": 7},
}
COMMENT = {"action": "created", "issue": {"number": 7, "pull_request": {"url": "https://forge"}}, "comment": {"id": 12}}


def told(folder: Path, said: Any, variable: str = "GITHUB_EVENT_PATH") -> CommentEvent | None:
    file = folder / "event.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    return comment_here({variable: str(file)})


def test_each_forge_says_which_comment_was_written(tmp_path: Path):
    gitea = COMMENT | {"issue": {"number": 7, "pull_request": None}, "is_pull": True}
    assert [told(tmp_path, each) for each in (COMMENT, gitea)] == [CommentEvent(7, "12")] * 2
    assert told(tmp_path, NOTE, "TRIGGER_PAYLOAD") == CommentEvent(7, "12")


@pytest.mark.parametrize(
    "said",
    [
        COMMENT | {"action": "edited"},
        COMMENT | {"action": "deleted"},
        COMMENT | {"issue": {"number": 7}},
        {"action": "created", "pull_request": {"number": 7}},
        NOTE | {"object_attributes": {**NOTE["object_attributes"], "noteable_type": "Issue"}},  # type: ignore[dict-item]
        NOTE | {"object_attributes": {**NOTE["object_attributes"], "action": "update"}},  # type: ignore[dict-item]
        {"object_kind": "push"},
    ],
)
def test_what_else_happens_is_no_comment_on_a_pull_request(tmp_path: Path, said: dict[str, Any]):
    assert told(tmp_path, said) is None


@pytest.mark.parametrize("said", ["", "[]", "{", {**COMMENT, "comment": {"id": "12; rm"}}, {**COMMENT, "comment": {}}])
def test_a_file_that_tells_nothing_is_an_error_that_names_it(tmp_path: Path, said: Any):
    with pytest.raises(PermanentError, match=r"event\.json"):
        told(tmp_path, said)


def test_without_a_file_it_says_what_to_name():
    with pytest.raises(PermanentError, match="--pull-request and --comment"):
        comment_here({})


OURS, THEIRS = {"repo": {"full_name": "acme/models"}}, {"repo": {"full_name": "mallory/models"}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"pull_request": {"head": OURS, "base": OURS}}, False),
        ({"pull_request": {"head": THEIRS, "base": OURS}}, True),
        ({"pull_request": {"head": {"repo": None}, "base": OURS}}, True),
        ({"pull_request": {}}, True),
        ({"ref": "refs/heads/main"}, False),
        ("no JSON", False),
    ],
)
def test_what_happened_says_whether_it_is_of_a_fork(tmp_path: Path, said: Any, expected: bool):
    file = tmp_path / "event.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    assert is_from_fork({"GITHUB_EVENT_PATH": str(file)}) is expected


def test_a_pipeline_of_gitlab_says_whether_it_is_of_a_fork(tmp_path: Path):
    mine = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1", "CI_MERGE_REQUEST_PROJECT_ID": "1"}
    assert not is_from_fork(mine) and not is_from_fork({}) and not is_from_fork({"GITHUB_EVENT_PATH": str(tmp_path / "no")})
    assert is_from_fork(mine | {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"})


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
def test_a_comment_says_who_wrote_it_when_and_whether_it_was_edited(kind: str):
    at = {"created_at": "2026-03-01T09:30:00Z", "updated_at": "2026-03-01T09:30:00Z"}
    who = {"author": {"username": "ada"}} if kind == "gitlab" else {"user": {"login": "ada"}, "html_url": "https://c/1"}
    edited = at | {"updated_at": "2026-03-01T10:30:01+01:00"}
    answer = [{"id": 1, "body": "/approve", **who, **at}, {"id": 2, "body": "/approve", **who, **edited}]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    forge = {"github": GitHub, "gitea": Gitea, "gitlab": GitLab}[kind]("https://forge", "a/b", "t", transport)
    first, second = forge.comments(7)
    assert (first.author, first.at, first.edited) == ("ada", 1772357400.0, False)
    assert second.edited
    assert first.url == ("" if kind == "gitlab" else "https://c/1")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/approve", Command(Verb.APPROVE)),
        ("\n /rollback flights \r\n\r\nthe p99\r\nis bad\r\n", Command(Verb.ROLLBACK, "flights", None, "the p99 is bad")),
        ("/approve in production", Command(Verb.APPROVE, None, "production")),
        ("/heliostat approve flights in org/production", Command(Verb.APPROVE, "flights", "org/production")),
        ("/approve indigo", Command(Verb.APPROVE, "indigo")),
        ("/extend", Command(Verb.EXTEND, seconds=3 * DAY)),
        ("/extend for 7d\nthe demo is on Friday", Command(Verb.EXTEND, reason="the demo is on Friday", seconds=7 * DAY)),
        ("/heliostat extend 12h", Command(Verb.EXTEND, seconds=DAY / 2)),
        ("/down", Command(Verb.DOWN)),
        ("/downright", None),
        ("/approvedly", None),
        ("please /approve", None),
        ("```\n/approve\n```", None),
        ("<!-- -->\n/approve", None),
    ],
)
def test_the_first_line_orders_and_the_others_say_why(text: str, meant: Command | None):
    assert command_in(text) == meant


@pytest.mark.parametrize(
    "text", ["/approve Flights!", "/approve a b", "/approve flights in", "/rollback `x`", "/approve in a b"]
)
def test_a_command_that_cannot_be_read_is_a_mistake_that_says_how_to_write_it(text: str):
    found = command_in(text)
    assert isinstance(found, Mistake) and "APPLICATION in STACK" in found.text


@pytest.mark.parametrize("text", ["/extend for ever", "/extend for 91d", "/extend 0d", "/extend flights", "/down flights"])
def test_a_command_for_an_environment_that_cannot_be_read_says_how_to_write_it(text: str):
    found = command_in(text)
    assert isinstance(found, Mistake) and text.split()[0] in found.text


@given(some.text(max_size=200))
def test_no_text_breaks_it(text: str):
    command_in(text)
    found = command_in(f"/rollback flights\n{text}")
    assert isinstance(found, Command) and "\n" not in found.reason
