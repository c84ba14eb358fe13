"""Where the logs of a platform's parts lie, and how they are shown and followed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from heliostat.cli.operators.deployed import CONTROLLER, RAY, TRACKING, Deployed
from heliostat.spec.controller import KEEPER_SERVICE, SERVICE, TRAFFIC_SERVICE
from heliostat.systems.errors import PermanentError, explained
from heliostat.systems.mlflow_server import NAME as MLFLOW
from heliostat.systems.processes import log_path

_RAY_FILES = (
    "gcs_server.*",
    "raylet*.*",
    "dashboard*.log",
    "dashboard*.err",
    "runtime_env_agent*.log",
    "serve/controller_*.log",
)
"""Of a session: what its nodes' own processes write. Replicas' logs are the applications'; workers' are Ray's own business."""
_BLOCK = 1 << 16


@dataclass(frozen=True)
class PartLog:
    """One file of one part."""

    name: str
    path: Path


def part_logs(found: Deployed, part: str) -> list[PartLog]:
    """Where the logs of a part lie. This is the only place that knows: those of another platform would be elsewhere.

    Raises:
        PermanentError: the part's processes run on no machine that this one sees.
    """
    types = {"controller": CONTROLLER, "haproxy": CONTROLLER, "mlflow": TRACKING, "ray": RAY}
    folder = found.directory(types[part])
    if folder is None or not folder.is_dir():
        where = f"{folder} is not on this machine" if folder else "it has no data folder"
        raise PermanentError(f"the logs of {part} of the stack {found.owner!r} cannot be read: {where}")
    if part == "ray":
        return _ray(folder)
    names = {"controller": (SERVICE, KEEPER_SERVICE), "haproxy": (TRAFFIC_SERVICE,), "mlflow": (MLFLOW,)}[part]
    return [PartLog(name, log_path(folder, name)) for name in names]


def _ray(folder: Path) -> list[PartLog]:
    """The log of each node's start, and those of their processes in the present session; empty files are left out."""
    session = folder / "logs"
    nodes = [PartLog(path.stem, path) for pattern in ("head.log", "worker-*.log") for path in sorted(folder.glob(pattern))]
    written = (path for pattern in _RAY_FILES for path in sorted(session.glob(pattern)) if path.stat().st_size)
    return [*nodes, *(PartLog(str(path.relative_to(session)), path) for path in dict.fromkeys(written))]


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none of one that is not there.

    Raises:
        PermanentError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            _seek_to_last(file, lines)
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explained(error, f"read {path}") from error


def _seek_to_last(file: IO[bytes], lines: int) -> None:
    """Put the position before the last lines; an unfinished one counts as a line."""
    end = begin = file.seek(0, os.SEEK_END)
    text = b""
    while begin > 0 and text.rstrip(b"\n").count(b"\n") < lines:
        begin = max(0, begin - _BLOCK)
        file.seek(begin)
        text = file.read(end - begin)
    last = text.splitlines(keepends=True)[-lines:] if lines else []
    file.seek(end - sum(map(len, last)))


@dataclass
class Follower:
    """Reads what is added to a file, also where another one takes its place, or where it is made anew."""

    path: Path
    lines: int = 0
    """Of what is there already, the last."""
    _file: IO[bytes] | None = None
    _rest: bytes = field(default=b"")
    _opened_before: bool = False

    def read(self) -> Iterator[str]:
        """The whole lines that are new since the last call.

        Raises:
            PermanentError: the file cannot be read.
        """
        try:
            yield from self._read()
        except OSError as error:
            raise explained(error, f"read {self.path}") from error

    def _read(self) -> Iterator[str]:
        if self._file is not None:
            yield from self._new_lines(self._file)
            if not self._replaced(self._file):
                return
            # What was written last, between the reading and the replacing.
            yield from self._new_lines(self._file)
            self._close()
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            return
        if not self._opened_before:
            _seek_to_last(self._file, self.lines)
        self._opened_before = True
        yield from self._new_lines(self._file)

    def _new_lines(self, file: IO[bytes]) -> Iterator[str]:
        if os.fstat(file.fileno()).st_size < file.tell():  # emptied in its place
            file.seek(0)
            self._rest = b""
        *whole, self._rest = (self._rest + file.read()).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")

    def _replaced(self, file: IO[bytes]) -> bool:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False  # it is about to come; until then the old one may be written to
        then = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""


async def follow(logs: Sequence[PartLog], lines: int, write: Callable[[PartLog, str], None]) -> None:
    """Write the last lines of each log and then what is added to any, until it is cancelled."""
    followers = [(log, Follower(log.path, lines)) for log in logs]
    folders = {log.path.parent.resolve() for log in logs if log.path.parent.is_dir()}
    changes = _changes(sorted(folders))
    while True:
        for log, follower in followers:
            for line in follower.read():
                write(log, line)
        if await anext(changes, None) is None:
            return


async def _changes(folders: Sequence[Path]) -> AsyncIterator[object]:
    """Tells whenever something is written in one of the folders; the first time at once."""
    from watchfiles import awatch

    yield ()
    # Once a second all the same: for what is written before the watch begins, and for a head of Ray that was started anew,
    # whose logs lie in another folder below the same name.
    async for found in awatch(
        *folders, watch_filter=None, recursive=False, debounce=200, step=50, rust_timeout=1000, yield_on_timeout=True
    ):
        yield found
