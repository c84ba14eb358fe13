"""Who declares something, from which commit and branch: what the ledger says of an entry's origin. Asks the `git` binary."""

from __future__ import annotations

import getpass
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat.systems.errors import PermanentError

if TYPE_CHECKING:
    from heliostat.spec.rollouts import Origin

BY = "HELIOSTAT_BY"
"""Says who declares, where the login or the CI system's account is not the right name."""
_CI_ACTORS = (("GITHUB_ACTIONS", "GITHUB_ACTOR"), ("GITLAB_CI", "GITLAB_USER_LOGIN"))
"""A variable that says that its CI system runs this, and the one that says for whom."""
_CI_BRANCHES = ("GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH")
"""Of a pull request: GitHub's and Gitea's, GitLab's; and of a push to GitLab, which checks out a commit."""
_NO_SOURCES = (":(exclude).venv", ":(exclude).heliostat")
"""What a job makes beside what it checked out: a checkout differs from its commit by neither, ignored or not."""
_LIMIT_SECONDS = 10.0
_NOT_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""What a hook of another checkout would have this one asked about."""


def origin_of(folder: Path, environment: Mapping[str, str]) -> Origin:
    """Who declares what lies in `folder`, and its commit: none outside a checkout, before its first commit or without git."""
    from heliostat.spec.rollouts import Origin  # it loads all that a rollout is described by: not for whoever asks git

    commit = _git(folder, environment, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, environment, "status", "--porcelain", "--", ".", *_NO_SOURCES) if commit else None
    return Origin(by=actor(environment), commit=commit or None, dirty=bool(changes))


def branch_of(folder: Path, environment: Mapping[str, str]) -> str | None:
    """The branch that `folder` is on, or that the CI system says its detached checkout is of; None where nobody knows.

    The CI system's word counts first: on a pull request it checks out a merge that is on no branch.
    """
    for name in _CI_BRANCHES:
        if environment.get(name):
            return readable(environment[name])
    return _git(folder, environment, "symbolic-ref", "--quiet", "--short", "HEAD") or None


def merge_base(folder: Path, environment: Mapping[str, str], other: str) -> str | None:
    """The commit at which the checkout branched off from `other`; None where git knows none."""
    return _git(folder, environment, "merge-base", "HEAD", other) or None


def first_parents(folder: Path, environment: Mapping[str, str], after: str, until: str, most: int) -> list[str] | None:
    """The commits of a branch's own line after `after` up to `until`, the oldest first: merges, and not what these brought.

    Of more than `most` the last ones; None where git does not know both.
    """
    told = _git(folder, environment, "log", "--first-parent", f"--max-count={most}", "--format=%H", f"{after}..{until}", "--")
    return None if told is None else told.split()[::-1]


def is_whole(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether the clone has the history of what it fetched, to its beginning."""
    return _git(folder, environment, "rev-parse", "--is-shallow-repository") == "false"


def unpack(folder: Path, environment: Mapping[str, str], commit: str, names: Iterable[str], into: Path) -> None:
    """Write what a commit has below the folder `folder` of those `names`, which may not all be there, into another folder.

    Raises:
        PermanentError: git cannot.
    """
    there = set((_git(folder, environment, "ls-tree", "--name-only", "-z", commit) or "").split("\0"))
    wanted = sorted(there & set(names))
    if not wanted:
        return
    archive = into / ".archive.tar"
    if _git(folder, environment, "archive", f"--output={archive}", commit, "--", *wanted) is None:
        raise PermanentError(f"git cannot write out the commit {commit} of {folder}: is it fetched whole?")
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    archive.unlink()


def readable(branch: str) -> str:
    """A branch that came as an argument or a variable, as git's own output is read: what is no UTF-8 as `\\xff`."""
    return os.fsencode(branch).decode(errors="backslashreplace")


def commit_of(folder: Path, environment: Mapping[str, str]) -> str:
    """The commit that is checked out; empty outside a checkout, and before its first."""
    return _git(folder, environment, "rev-parse", "--verify", "HEAD") or ""


def is_behind(folder: Path, environment: Mapping[str, str], commit: str) -> bool:
    """Whether what is checked out does not have a commit of its branch; no clone knows that has not the whole history."""
    if not is_whole(folder, environment):
        return False
    return _git(folder, environment, "merge-base", "--is-ancestor", commit, "HEAD") is None


def remote_branches(folder: Path, environment: Mapping[str, str], remote: str) -> frozenset[str] | None:
    """The branches of a remote, as it has them now; None where it does not answer, or there is none of that name."""
    told = _git(folder, {**environment, "GIT_TERMINAL_PROMPT": "0"}, "ls-remote", "--heads", remote)
    if told is None:
        return None
    refs = (line.partition("\t")[2] for line in told.splitlines())
    return frozenset(ref.removeprefix("refs/heads/") for ref in refs)


def actor(environment: Mapping[str, str]) -> str:
    """Whoever runs this: HELIOSTAT_BY, the CI system's account, or the login."""
    said = environment.get(BY, "").strip()
    if said:
        return said
    for runs, account in _CI_ACTORS:
        if environment.get(runs) and environment.get(account):
            return environment[account]
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # in a container, without an entry in the password database


def _git(folder: Path, environment: Mapping[str, str], *arguments: str) -> str | None:
    """What git writes; None where it cannot say."""
    inherited = {name: value for name, value in environment.items() if name not in _NOT_INHERITED}
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            errors="backslashreplace",  # names of branches are bytes, none of them a backslash
            timeout=_LIMIT_SECONDS,
            env={**inherited, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
