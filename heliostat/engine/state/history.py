"""What was done to a stack: one entry an operation, as the official CLI writes them."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.backend import Backend, StackRef

_GIT_LIMIT_S = 10
_BRANCH, _DETACHED = "# branch.head ", "(detached)"
IN_PROGRESS: Final = "in-progress"
"""The result of what has not ended, in the CLI's words; its backend of files keeps no entry of it."""
_TARGETS, _EXCLUDES, _BY, _ENDED = (f"heliostat.{name}" for name in ("targets", "excludes", "by", "ended"))
"""What else of an operation stands in its environment, where the official CLI shows it, too."""
_ENTRY, _CHECKPOINT = ".history.json", ".checkpoint.json"


@dataclass(frozen=True)
class Entry:
    """One operation; times are seconds since 1970, `config` is as the stack's file has it (secrets encrypted)."""

    kind: str
    start_time: int
    end_time: int
    result: str
    """`succeeded`, `failed`, `in-progress`, or `goes-on`: nothing failed, and the rest is done once what goes on has ended."""
    changes: dict[str, int]
    message: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    """The number of the operation where a backend numbers them; one of files does not, and writes 0, as the CLI does."""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended, as far as anybody has written down."""
        return self.result == IN_PROGRESS

    @property
    def was_killed(self) -> bool:
        """Whether somebody found that it did not come to its end."""
        return self.environment.get(_ENDED) == "killed"

    @property
    def is_partial(self) -> bool:
        """Whether it was told to leave some resources alone. Of the official CLI nobody knows it."""
        return _TARGETS in self.environment or _EXCLUDES in self.environment

    @property
    def by(self) -> str:
        """Who did it, where and as which process; empty where that is not known."""
        return self.environment.get(_BY, "")


def told(by: str, targets: Sequence[str] = (), excludes: Sequence[str] = ()) -> dict[str, str]:
    """Entries of an operation's environment: who does it, and to which resources alone, or to which not."""
    urns = {_TARGETS: targets, _EXCLUDES: excludes}
    return {_BY: by} | {name: json.dumps([*those]) for name, those in urns.items() if those}


def _folder(ref: StackRef) -> str:
    return f".pulumi/history/{ref.project}/{ref.name}"


def begin(backend: Backend, ref: StackRef, entry: Entry) -> str:
    """Write the entry of an operation that begins; the key that `add` puts it at once it has ended."""
    key = _new_key(ref)
    backend.bucket.write(key, _content(replace(entry, result=IN_PROGRESS, end_time=entry.start_time)))
    return key


def add(backend: Backend, ref: StackRef, entry: Entry, key: str = "") -> None:
    """Write an entry, in the place of the one at `key`, and, beside it, the checkpoint as it is now."""
    key = key or _new_key(ref)
    backend.bucket.write(key, _content(entry))
    backend.bucket.copy(ref.file, f"{key.removesuffix(_ENTRY)}{_CHECKPOINT}")


def close_killed(backend: Backend, ref: StackRef, now: float) -> list[Entry]:
    """Have the operations that did not come to their end say so. Whoever asks for it holds the stack, or broke its lock: what
    goes on all the same says how it ended when it has.

    Raises:
        StackError: such an entry is damaged.
        StorageError: it cannot be written.
    """
    keys = {*backend.bucket.list(_folder(ref))}
    # The checkpoint comes with the end, so none of the others is read.
    left = [key for key in sorted(keys) if key.endswith(_ENTRY) and f"{key.removesuffix(_ENTRY)}{_CHECKPOINT}" not in keys]
    found = [(key, entry) for key in left if (entry := _read(backend, key)).is_open]
    killed = []
    for key, entry in found:
        environment = {**entry.environment, _ENDED: "killed"}
        killed.append(replace(entry, result="failed", end_time=int(now), environment=environment))
        add(backend, ref, killed[-1], key)
    return killed


def _new_key(ref: StackRef) -> str:
    return f"{_folder(ref)}/{ref.name}-{time.time_ns()}{_ENTRY}"


def _content(entry: Entry) -> bytes:
    said = {
        "kind": entry.kind,
        "startTime": entry.start_time,
        "message": entry.message,
        "environment": entry.environment,
        "config": entry.config,
        "version": entry.version,
        "result": entry.result,
        "endTime": entry.end_time,
    }
    if entry.changes:
        said["resourceChanges"] = entry.changes
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


def entries(backend: Backend, ref: StackRef, limit: int | None = None) -> list[Entry]:
    """The stack's operations, the latest first; raises StackError for a damaged entry."""
    return list(itertools.islice(newest_first(backend, ref), limit))


def newest_first(backend: Backend, ref: StackRef) -> Iterator[Entry]:
    """The stack's operations, as far as somebody asks for them; raises StackError for a damaged entry."""
    keys = [key for key in backend.bucket.list(_folder(ref)) if key.endswith(_ENTRY)]
    return (_read(backend, key) for key in sorted(keys, key=_moment, reverse=True))


def _moment(key: str) -> int:
    stamp = key.removesuffix(_ENTRY).rpartition("-")[2]
    return int(stamp) if stamp.isdigit() else 0


def _read(backend: Backend, key: str) -> Entry:
    try:
        said = json.loads(backend.bucket.read(key) or b"")
        return Entry(
            kind=said["kind"],
            start_time=int(said["startTime"]),
            end_time=int(said.get("endTime") or 0),
            result=said.get("result", ""),
            changes=said.get("resourceChanges") or {},
            message=said.get("message") or "",
            environment=said.get("environment") or {},
            config=said.get("config") or {},
            version=int(said.get("version") or 0),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"the history entry {backend.bucket.describe(key)} is damaged ({error}): remove it") from error


@dataclass(frozen=True)
class Origin:
    """What an operation ran from: the commit of its checkout, in the CLI's words; little outside a git checkout."""

    message: str = ""
    """The first line of the last commit, which the CLI takes where no `--message` is given."""
    environment: dict[str, str] = field(default_factory=dict)


def origin_of(folder: Path) -> Origin:
    """Ask git, which is two processes."""
    names = ("git.head", "git.author", "git.author.email", "git.committer", "git.committer.email")
    known = {"exec.kind": "cli"}
    message, *said = _git(folder, "log", "-1", "--format=%s%n%H%n%an%n%ae%n%cn%n%ce").split("\n")
    if len(said) == len(names):
        known |= zip(names, said, strict=True)
        status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no").split("\n")
        heads = [line.removeprefix(_BRANCH) for line in status if line.startswith(_BRANCH)]
        known["git.headName"] = "".join(f"refs/heads/{head}" for head in heads if head != _DETACHED)
        known["git.dirty"] = "true" if any(line and not line.startswith("#") for line in status) else "false"
    return Origin(message, {name: value for name, value in known.items() if value})


def _git(folder: Path, *arguments: str) -> str:
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_LIMIT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.removesuffix("\n") if done.returncode == 0 else ""
