"""Which comment a CI job was started for, as the forge told it; what it says is asked of the forge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heliostat.systems.errors import PermanentError

_FILES: Final = ("GITHUB_EVENT_PATH", "TRIGGER_PAYLOAD")
"""Where Actions, of GitHub and of Gitea, and a pipeline that a webhook of GitLab triggers have what happened."""


@dataclass(frozen=True)
class CommentEvent:
    """A comment on a pull request."""

    number: int
    """The pull request's."""
    comment: str
    """Its id."""


def is_from_fork(environment: Mapping[str, str]) -> bool:
    """Whether this job is for a pull request from a fork, by what the CI system says of it; of no other job."""
    source, target = (environment.get(f"CI_MERGE_REQUEST_{each}PROJECT_ID") for each in ("SOURCE_", ""))
    if source and target:
        return source != target
    try:
        told = json.loads(Path(environment.get("GITHUB_EVENT_PATH", "")).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    pull = told.get("pull_request") if isinstance(told, dict) else None
    if not isinstance(pull, dict):
        return False
    head, base = (((pull.get(side) or {}).get("repo") or {}).get("full_name") for side in ("head", "base"))
    return head is None or head != base  # None: the fork is deleted


def comment_here(environment: Mapping[str, str]) -> CommentEvent | None:
    """The comment that was written; None where something else happened, as to an issue.

    Raises:
        PermanentError: nothing says what happened, or it cannot be read.
    """
    file = next((environment[name] for name in _FILES if environment.get(name)), "")
    if not file:
        raise PermanentError(
            f"nothing says which comment this is for: run it in a job that a comment starts (it has {' or '.join(_FILES)}), "
            "or name it with --pull-request and --comment"
        )
    try:
        told = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PermanentError(f"{file} does not say what happened: {error}") from None
    if not isinstance(told, dict):
        raise PermanentError(f"{file} does not say what happened: it holds no object of JSON")
    try:
        return _of_gitlab(told) if "object_kind" in told else _of_actions(told)
    except (KeyError, TypeError, ValueError) as error:
        raise PermanentError(f"{file} tells of a comment in another way than forges do: {error!r}") from None


def _of_actions(told: Mapping[str, Any]) -> CommentEvent | None:
    issue = told.get("issue") or {}
    if told.get("action") != "created" or "comment" not in told or not (issue.get("pull_request") or told.get("is_pull")):
        return None
    return CommentEvent(int(issue["number"]), str(int(told["comment"]["id"])))


def _of_gitlab(told: Mapping[str, Any]) -> CommentEvent | None:
    note = told.get("object_attributes") or {}
    is_new = note.get("action", "create") == "create"
    if told["object_kind"] != "note" or note.get("noteable_type") != "MergeRequest" or not is_new:
        return None
    return CommentEvent(int(told["merge_request"]["iid"]), str(int(note["id"])))
