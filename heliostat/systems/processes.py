"""Services: process trees of this machine that outlive whoever starts them, and are found, and ended, as a whole.

A service is known by its data folder and its name. `<name>.pid.json` says which process is its root, by process id,
start time and boot, so that a number that was used again is never mistaken for it. All its processes carry a mark in their
environment, by which those are found that left their parent or session.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from heliostat.systems import private_folder, proc
from heliostat.systems.errors import PermanentError, explained
from heliostat.systems.loopback import past_proxies

MARK = "HELIOSTAT_SERVICE"
_NOT_INHERITED = ("PULUMI_", "RAY_", "MLFLOW_")
"""What of an update's environment must not leak into services: its passphrase, and settings of somebody's shell."""
_LOG_LIMIT = 32 * 1024 * 1024
_KILL_SECONDS = 10.0
_children: list[subprocess.Popen[bytes]] = []
"""Started by this very process, which has to take note of their ends."""


@dataclass(frozen=True)
class Service:
    """What is to run, and where its record and its log (`<name>.pid.json`, `<name>.log`) are kept.

    `environment` is laid over this process's own, less what is Pulumi's, Ray's or MLflow's in that.
    """

    directory: Path
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    kept: bool = False
    """Whether `heliostat.systems.keeper` starts it again when it dies."""
    secrets: tuple[str, ...] = ()
    """Variables of this process that it gets too, whatever they are called. Their values are written nowhere."""


def start(service: Service) -> int:
    """The process id of the service's root: as it runs already, or just started after clearing what a dead root left.

    Raises:
        PermanentError: the program or the folder cannot be used.
    """
    try:
        service.directory.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock(service.directory, service.name)):
            running = find(service.directory, service.name)
            if running is not None:
                return running.pid
            _clear(service.directory, service.name)
            return _spawn(service)
    except OSError as error:
        raise explained(error, f"start {service.name} ({service.argv[0]}) in {service.directory}") from error


def revive(directory: Path, name: str) -> int | None:
    """The new process id of a service that is to be kept and died; None where it runs, was stopped, or is not to be kept.

    What runs is what was started last. After a reboot nothing is revived: nobody asked for it since.

    Raises:
        PermanentError: the program or the folder cannot be used.
    """
    try:
        with FileLock(_lock(directory, name)):
            record = _read(directory, name)
            if not record.get("kept") or record.get("stopped") or _recorded(directory, name) is None:
                return None
            if find(directory, name) is not None:
                return None
            _clear(directory, name)
            secrets = tuple(record.get("secrets", ()))
            return _spawn(Service(directory, name, tuple(record["argv"]), dict(record["environment"]), True, secrets))
    except OSError as error:
        raise explained(error, f"start {name} in {directory} again") from error


def find(directory: Path, name: str) -> psutil.Process | None:
    """The root of the service where it is alive and the very process that was started; None otherwise.

    One that was killed a moment ago and still gives back its memory is not alive any more.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    recorded = _recorded(directory, name)
    if recorded is None:
        return None
    pid, started = recorded
    try:
        process = psutil.Process(pid)
        return process if proc.started(pid) == started and not proc.is_ending(pid) else None
    except (OSError, psutil.Error):
        return None


def is_as(service: Service) -> bool:
    """Whether the service runs and was started with these very arguments and environment."""
    record = _read(service.directory, service.name)
    return find(service.directory, service.name) is not None and record.get("service") == _digest(service)


async def stop(directory: Path, name: str, grace_seconds: float = 10.0) -> None:
    """End the service: SIGTERM to its root, up to `grace_seconds` for it to end, then SIGKILL to all that is left of it.

    What is gone already is a success.

    Raises:
        PermanentError: something of it cannot be killed.
    """
    await asyncio.to_thread(_note_stop, directory, name)
    root = find(directory, name)
    if root is not None:
        try:
            root.send_signal(signal.SIGTERM)
            await proc.exited(root, grace_seconds)
        except psutil.NoSuchProcess:
            pass
    await asyncio.to_thread(_clear, directory, name)
    _record(directory, name).unlink(missing_ok=True)


def forget(directory: Path, name: str) -> None:
    """Remove the files that a stopped service leaves: its log, its lock and its record."""
    _lock(directory, name).unlink(missing_ok=True)
    for suffix in ("log", "log.1", "pid.json", "pid.tmp"):
        (directory / f"{name}.{suffix}").unlink(missing_ok=True)


def log_path(directory: Path, name: str) -> Path:
    """Where the service's stdout and stderr go."""
    return directory / f"{name}.log"


def log_tail(directory: Path, name: str, lines: int = 30) -> str:
    """The last lines that the service wrote; empty where it wrote nothing."""
    try:
        with log_path(directory, name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 512 * lines))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def mark(directory: Path, name: str) -> str:
    """The value of `HELIOSTAT_SERVICE` that all processes of the service carry."""
    return f"{_short_digest(directory)}:{name}"


def marked(directory: Path, name: str | None = None) -> list[psutil.Process]:
    """All live processes of the service, or of every service in `directory`, whatever became of their parents."""
    wanted = f"{MARK}={mark(directory, name or '')}".encode()
    return [
        process
        for process, environment in proc.environments()
        if any(entry == wanted if name else entry.startswith(wanted) for entry in environment.split(b"\0"))
    ]


def runtime_root() -> Path:
    """The folder of this user for sockets and claims: short, private, and empty after a reboot.

    Raises:
        PermanentError: somebody else owns it.
    """
    named = os.environ.get("HELIOSTAT_RUNTIME_DIR")
    if not named:
        return private_folder.node_folder()
    return private_folder.private(Path(named), "remove it, or name another in HELIOSTAT_RUNTIME_DIR")


def runtime_directory(directory: str | Path) -> Path:
    """The short folder that goes with a data folder: Unix sockets' paths end at 107 bytes. Nothing of worth lives there."""
    path = runtime_root() / _short_digest(directory)[:8]
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Write `text` so that only this user can read it, at no moment anybody else."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _spawn(service: Service) -> int:
    log = log_path(service.directory, service.name)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    inherited = {
        key: value for key, value in os.environ.items() if key in service.secrets or not key.startswith(_NOT_INHERITED)
    }
    environment = {**inherited, **past_proxies(inherited), **service.environment}
    environment[MARK] = mark(service.directory, service.name)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - the program is the caller's, its arguments are a list
            service.argv,
            cwd=service.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(process)
    record = {"pid": process.pid, "started": proc.started(process.pid), "boot": proc.boot_id(), "service": _digest(service)}
    if service.kept:
        record |= {"kept": True, "argv": service.argv, "environment": dict(service.environment), "secrets": service.secrets}
    _write(service.directory, service.name, record)
    return process.pid


def _note_stop(directory: Path, name: str) -> None:
    """Have nobody revive what is about to be stopped, nor start it again while that is under way."""
    if not _record(directory, name).exists():
        return
    with FileLock(_lock(directory, name)):
        record = _read(directory, name)
        if record.get("kept"):
            _write(directory, name, {**record, "stopped": True})


def _clear(directory: Path, name: str) -> None:
    """Kill all that is left of the service and wait until it is gone: its sockets and locks are free only then."""
    deadline = time.monotonic() + _KILL_SECONDS
    # Again and again: one that was killed may have just forked.
    while processes := marked(directory, name):
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                raise PermanentError(f"process {process.pid} of {name} cannot be killed: it runs as another user") from None
        for process in processes:
            _wait_for_end(process.pid, name, deadline)
    # What is ending shows no environment, and so no mark; but it is still in the session that its root began.
    recorded = _recorded(directory, name)
    for pid in proc.ending_in_session(recorded[0]) if recorded else ():
        _wait_for_end(pid, name, deadline)


def _wait_for_end(pid: int, name: str, deadline: float) -> None:
    if not proc.wait_until_gone(pid, max(0.0, deadline - time.monotonic())):
        raise PermanentError(f"process {pid} of {name} lives on {_KILL_SECONDS:g} s after SIGKILL; look what holds it")


def _recorded(directory: Path, name: str) -> tuple[int, int] | None:
    """The process id and the start of the root that was started last, whatever became of it; None after a reboot."""
    record = _read(directory, name)
    try:
        return (int(record["pid"]), int(record["started"])) if record["boot"] == proc.boot_id() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(directory: Path, name: str) -> dict[str, Any]:
    """What was noted of the service; empty where nothing was, or what is no note."""
    try:
        found = json.loads(_record(directory, name).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(directory: Path, name: str, record: Mapping[str, Any]) -> None:
    temporary = directory / f"{name}.pid.tmp"
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(record, file)
    temporary.replace(_record(directory, name))


def _record(directory: Path, name: str) -> Path:
    return directory / f"{name}.pid.json"


def _lock(directory: Path, name: str) -> Path:
    return directory / f".{name}.start.lock"


def _digest(service: Service) -> str:
    declared = json.dumps([service.argv, sorted(service.environment.items())])
    if service.secrets:
        # Another value makes another service; who reads the digest learns nothing of a value.
        values = "\0".join(os.environ.get(name, "") for name in service.secrets)
        key = hashlib.scrypt(values.encode(), salt=declared.encode(), n=2**12, r=8, p=1)
        declared += key.hex()
    return hashlib.sha256(declared.encode()).hexdigest()


def _short_digest(directory: str | Path) -> str:
    return hashlib.sha256(str(directory).encode()).hexdigest()[:16]


if not sys.platform.startswith("linux"):  # pragma: no cover
    raise PermanentError(f"services need Linux (they are found in /proc); this is {sys.platform}: use WSL or a VM")
