"""Who declares something, from which commit: what the ledger says of an entry's origin. Asks the `git` binary."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from heliostat.spec.rollouts import Origin

BY = "HELIOSTAT_BY"
"""Says who declares, where the login or the CI system's account is not the right name."""
_CI_ACTORS = (("GITHUB_ACTIONS", "GITHUB_ACTOR"), ("GITLAB_CI", "GITLAB_USER_LOGIN"))
"""A variable that says that its CI system runs this, and the one that says for whom."""
_LIMIT_SECONDS = 10.0
_NOT_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""What a hook of another checkout would have this one asked about."""


def origin_of(folder: Path, environment: Mapping[str, str]) -> Origin:
    """Who declares what lies in `folder`, and its commit: none outside a checkout, before its first commit or without git."""
    commit = _git(folder, environment, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, environment, "status", "--porcelain", "--", ".") if commit else None
    return Origin(by=actor(environment), commit=commit or None, dirty=bool(changes))


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
            errors="replace",
            timeout=_LIMIT_SECONDS,
            env={**inherited, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
