"""Changes files on a branch of a remote, beside whatever is checked out: in a worktree that is gone afterwards."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.git import actor

_SECONDS: Final = 120.0
_PREFIX: Final = "heliostat-branch-"


def push_edit(
    folder: Path, environment: Mapping[str, str], where: Branches, file: Path, edit: Callable[[str], str], message: str
) -> str:
    """`push_change` of one file, which `edit` makes of what it is on the base."""
    relative = file.resolve().relative_to(top_of(folder, environment))

    def change(tree: Path) -> None:
        path = tree / relative
        try:
            before = path.read_bytes().decode()  # as text, ends of lines would come out other than they are
        except (OSError, UnicodeDecodeError) as error:
            raise PermanentError(f"{where.remote}/{where.base} has no {file.name} that can be read: {error}") from None
        after = edit(before)
        if after != before:
            path.write_bytes(after.encode())

    return push_change(folder, environment, where, change, message)


def push_change(
    folder: Path, environment: Mapping[str, str], where: Branches, change: Callable[[Path], None], message: str
) -> str:
    """Push a branch that is the remote's base after `change`, which gets the folder of the repository's whole tree; the commit
    that the branch is at then. Empty, and nothing pushed, where that changes nothing.

    A branch of that name is replaced: what is proposed last counts. One that has just this already stays as it is.

    Raises:
        RetryableError: somebody else pushed the branch meanwhile.
        PermanentError: git refuses something; with what it said. Whatever `change` raises.
    """
    fetch(folder, environment, where.remote, f"refs/heads/{where.base}")
    with _worktree(folder, environment) as tree:
        change(tree)
        _git(tree, environment, "add", "--all")
        if not _git(tree, environment, "status", "--porcelain"):
            return ""
        _git(tree, environment, *_identity(tree, environment), "commit", "--quiet", "--message", message)
        ours = _git(tree, environment, "rev-parse", "HEAD")
        # The remote is asked from the checkout: where it is named by a path from there, the worktree would look elsewhere.
        there = head_of(folder, environment, where.remote, where.branch)
        if there and _is_the_same(folder, environment, where, ours, there):
            return there
        lease = f"--force-with-lease=refs/heads/{where.branch}:{there}"
        try:
            _git(folder, environment, "push", "--quiet", lease, where.remote, f"{ours}:refs/heads/{where.branch}")
        except PermanentError as error:
            if "stale info" in str(error) or "cannot lock ref" in str(error):
                raise RetryableError(
                    f"somebody else pushes {where.branch} right now; run it again to have yours count"
                ) from None
            raise
        return ours


def fetch(folder: Path, environment: Mapping[str, str], remote: str, what: str) -> str:
    """Fetch a ref, or a commit where the remote gives such; its commit, which is FETCH_HEAD now.

    Raises:
        PermanentError: the remote does not have it, or does not answer.
    """
    _git(folder, environment, "fetch", "--quiet", remote, what)
    return _git(folder, environment, "rev-parse", "FETCH_HEAD^{commit}")


def head_of(folder: Path, environment: Mapping[str, str], remote: str, branch: str) -> str:
    """The commit that a remote's branch is at; empty where it has none of that name."""
    return _git(folder, environment, "ls-remote", remote, f"refs/heads/{branch}").partition("\t")[0]


def heads_below(folder: Path, environment: Mapping[str, str], remote: str, prefix: str) -> frozenset[str]:
    """The branches of a remote whose names begin with `prefix`, which ends with `/`."""
    lines = _git(folder, environment, "ls-remote", remote, f"refs/heads/{prefix}*").splitlines()
    return frozenset(line.partition("\t")[2].removeprefix("refs/heads/") for line in lines)


def texts_before(folder: Path, environment: Mapping[str, str], commit: str, file: Path, most: int) -> Iterator[str]:
    """A file below `folder` as the last commits that changed it have it, up to `commit`, the newest first.

    A clone that has few commits tells of these alone.
    """
    told = _git(
        folder, environment, "log", f"--max-count={most}", "--diff-filter=AMR", "--format=%H", commit, "--", file.as_posix()
    )
    return (text_at(folder, environment, each, file) for each in told.split())


def has_commit(folder: Path, environment: Mapping[str, str], commit: str) -> bool:
    """Whether a commit is in this clone."""
    try:
        _git(folder, environment, "cat-file", "-e", f"{commit}^{{commit}}")
    except PermanentError:
        return False
    return True


def text_at(folder: Path, environment: Mapping[str, str], commit: str, file: Path) -> str:
    """A file below `folder` as a commit has it.

    Raises:
        PermanentError: it has none of that name.
    """
    return _git(folder, environment, "show", f"{commit}:./{file.as_posix()}")


def top_of(folder: Path, environment: Mapping[str, str]) -> Path:
    """The folder of the whole checkout that `folder` is in."""
    return Path(_git(folder, environment, "rev-parse", "--show-toplevel")).resolve()


def _is_the_same(folder: Path, environment: Mapping[str, str], where: Branches, ours: str, there: str) -> bool:
    """Whether a remote's branch, at `there`, has what `ours` has, on the same base: nobody is told of it twice then."""
    fetch(folder, environment, where.remote, f"refs/heads/{where.branch}")
    if not has_commit(folder, environment, there):
        return False  # it was replaced meanwhile
    one, other = (_git(folder, environment, "rev-parse", f"{commit}^{{tree}}", f"{commit}^1") for commit in (ours, there))
    return one == other


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
    _remove_what_was_left(folder, environment)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as made, _held(Path(made)):
        tree = Path(made) / "tree"
        _git(folder, environment, "worktree", "add", "--quiet", "--detach", str(tree), "FETCH_HEAD")
        try:
            yield tree
        finally:
            _git(folder, environment, "worktree", "remove", "--force", str(tree))


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a worktree's folder for as long as this process works in it: whoever is killed lets go of it.

    Raises:
        BlockingIOError: another process does.
    """
    with (folder / "held").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _remove_what_was_left(folder: Path, environment: Mapping[str, str]) -> None:
    """Remove the worktrees of processes that were killed in them; git's own `prune` keeps those that it was still making."""
    for line in _git(folder, environment, "worktree", "list", "--porcelain").splitlines():
        tree = Path(line.removeprefix("worktree "))
        made = tree.parent
        if not (line.startswith("worktree ") and made.name.startswith(_PREFIX)):
            continue
        with suppress(PermanentError, OSError):  # another process works there, or takes it away just now
            if made.is_dir():
                with _held(made):
                    shutil.rmtree(tree, ignore_errors=True)
                shutil.rmtree(made)
            with suppress(PermanentError):  # most are not locked
                _git(folder, environment, "worktree", "unlock", str(tree))
            _git(folder, environment, "worktree", "prune")


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
