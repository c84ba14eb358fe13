"""Changes one file on a branch of a remote, beside whatever is checked out: in a worktree that is gone afterwards."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heliostat.systems.errors import PermanentError
from heliostat.systems.git import actor

_SECONDS: Final = 120.0


def push_edit(
    folder: Path, environment: Mapping[str, str], where: Branches, file: Path, edit: Callable[[str], str], message: str
) -> bool:
    """Push a branch that is the remote's base with one file edited; False, and nothing pushed, where that changes nothing.

    A branch of that name is replaced: what is proposed last counts.

    Raises:
        PermanentError: git refuses something; with what it said. Whatever `edit` raises.
    """
    _git(folder, environment, "fetch", "--quiet", where.remote, f"refs/heads/{where.base}")
    with _worktree(folder, environment) as tree:
        top = Path(_git(folder, environment, "rev-parse", "--show-toplevel"))
        path = tree / file.resolve().relative_to(top.resolve())
        try:
            before = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PermanentError(f"{where.remote}/{where.base} has no {file.name} that can be read: {error}") from None
        after = edit(before)
        if after == before:
            return False
        path.write_text(after, encoding="utf-8")
        _git(tree, environment, "add", "--", str(path))
        _git(tree, environment, *_identity(tree, environment), "commit", "--quiet", "--message", message)
        _git(tree, environment, "push", "--quiet", "--force", where.remote, f"HEAD:refs/heads/{where.branch}")
    return True


class Branches:
    """A branch of a remote, and what it goes off from."""

    def __init__(self, remote: str, base: str, branch: str) -> None:
        self.remote, self.base, self.branch = remote, base, branch


def base_of(folder: Path, environment: Mapping[str, str], remote: str) -> str:
    """The branch that a remote calls its own.

    Raises:
        PermanentError: it does not say.
    """
    told = _git(folder, environment, "ls-remote", "--symref", remote, "HEAD")
    for line in told.splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.removeprefix("ref: refs/heads/").partition("\t")[0]
    raise PermanentError(f"the remote {remote!r} names no branch of its own: name one with --base")


@contextmanager
def _worktree(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="heliostat-branch-") as made:
        tree = Path(made) / "tree"
        _git(folder, environment, "worktree", "add", "--quiet", "--detach", str(tree), "FETCH_HEAD")
        try:
            yield tree
        finally:
            _git(folder, environment, "worktree", "remove", "--force", str(tree))


def _identity(tree: Path, environment: Mapping[str, str]) -> list[str]:
    """Who commits, where git does not know: CI's checkouts have nobody."""
    if environment.get("GIT_COMMITTER_NAME"):
        return []
    try:
        _git(tree, environment, "config", "user.email")
    except PermanentError:
        return ["-c", f"user.name={actor(environment)}", "-c", "user.email=heliostat@localhost"]
    return []


def _git(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    inherited = {
        name: value for name, value in environment.items() if not name.startswith(("GIT_DIR", "GIT_WORK", "GIT_INDEX"))
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["git", "-C", os.fspath(folder), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=_SECONDS,
            env={**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PermanentError(f"git {arguments[0]} in {folder} did not end: {error}") from None
    if done.returncode:
        words = next(each for each in arguments if each not in {"-c"} and "=" not in each)
        raise PermanentError(f"git {words} in {folder} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout.strip()
