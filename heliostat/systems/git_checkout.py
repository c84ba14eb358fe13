"""Another commit in the place of the one that is checked out, for as long as something works on it. Asks the `git` binary."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.git import commit_of
from heliostat.systems.git_branches import has_commit

_LIMIT_SECONDS: Final = 300.0


@contextmanager
def checked_out(folder: Path, environment: Mapping[str, str], commit: str, remote: str = "origin") -> Iterator[None]:
    """Have `commit` be what is checked out in `folder`; afterwards it is what was there before.

    It is the checkout itself, no worktree: what a job made beside its sources, as its virtual environment, is where it was.

    Raises:
        PermanentError: files differ from what is checked out, or the commit is not to be had.
    """
    before = commit_of(folder, environment)
    if before == commit:
        yield
        return
    if _git(folder, environment, "status", "--porcelain", "--untracked-files=no"):
        raise PermanentError(
            f"{commit[:12]} cannot be checked out over the changes in {folder}: commit them, or run this in a clone of its own"
        )
    if not has_commit(folder, environment, commit):
        try:
            _git(folder, environment, "fetch", "--quiet", remote, commit)
        except PermanentError as error:
            raise PermanentError(f"this clone does not have {commit[:12]}, and {remote} does not give it: {error}") from None
    branch = _git(folder, environment, "branch", "--show-current").strip()
    _git(folder, environment, "checkout", "--quiet", "--detach", commit)
    try:
        yield
    finally:
        _git(folder, environment, "checkout", "--quiet", *([branch] if branch else ["--detach", before]))


def _git(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    command = ["git", "-C", os.fspath(folder), *arguments]
    asked = {**environment, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, capture_output=True, text=True, errors="backslashreplace", env=asked, timeout=_LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RetryableError(f"`git {arguments[0]}` did not end within {_LIMIT_SECONDS:g} s") from None
    if done.returncode:
        raise PermanentError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
