"""What was done to a stack: one entry an operation, as the official CLI writes them."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.backend import Backend, StackRef

_GIT_LIMIT_S = 10
_BRANCH, _DETACHED = "# branch.head ", "(detached)"


@dataclass(frozen=True)
class Entry:
    """One operation; times are seconds since 1970, `config` is as the stack's file has it (secrets encrypted)."""

    kind: str
    start_time: int
    end_time: int
    result: str
    """`succeeded` or `failed`."""
    changes: dict[str, int]
    message: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    """The number of the operation where a backend numbers them; one of files does not, and writes 0, as the CLI does."""


def _folder(ref: StackRef) -> str:
    return f".pulumi/history/{ref.project}/{ref.name}"


def add(backend: Backend, ref: StackRef, entry: Entry) -> None:
    """Writes an entry and, beside it, the checkpoint as it is now."""
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
    prefix = f"{_folder(ref)}/{ref.name}-{time.time_ns()}"
    backend.bucket.write(f"{prefix}.history.json", json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode())
    backend.bucket.copy(ref.file, f"{prefix}.checkpoint.json")


def entries(backend: Backend, ref: StackRef, limit: int | None = None) -> list[Entry]:
    """The stack's operations, the latest first; raises StackError for a damaged entry."""
    return list(itertools.islice(newest_first(backend, ref), limit))


def newest_first(backend: Backend, ref: StackRef) -> Iterator[Entry]:
    """The stack's operations, as far as somebody asks for them; raises StackError for a damaged entry."""
    keys = [key for key in backend.bucket.list(_folder(ref)) if key.endswith(".history.json")]
    return (_read(backend, key) for key in sorted(keys, key=_moment, reverse=True))


def _moment(key: str) -> int:
    stamp = key.removesuffix(".history.json").rpartition("-")[2]
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
