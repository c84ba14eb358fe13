"""Ports that a service keeps: chosen once, claimed for its data folder, the same again after a restart or a reboot.

`<directory>/ports.json` remembers them; `ports.json` in the runtime folder, under a lock, holds what all data folders of this
user have claimed, so that two stacks that start at once do not take the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from heliostat.systems import processes
from heliostat.systems.errors import PermanentError, explained

FIRST, END = 20000, 30000
"""Where ports are chosen: below the kernel's ephemeral ports, beside Ray's defaults."""
_LET_GO_SECONDS = 3.0
"""How long the processes of a killed node may hold on to its ports."""

_Ports = dict[str, tuple[int, int]]


def claim(directory: Path, name: str, fixed: int | None = None, count: int = 1) -> int:
    """The first of `count` ports that belong to `name` in `directory`: remembered, `fixed`, or chosen now.

    A remembered port that another program took meanwhile is given up for a new one.

    Raises:
        PermanentError: a fixed port is in use by another program, which the text names; or no block is free.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        root = processes.runtime_root()
        with FileLock(root / "ports.lock"):
            own = _load(directory)
            claimed = _claims(root, without=(str(directory), name))
            port = _pick(directory, name, own.get(name), fixed, count, claimed)
            if own.get(name) != (port, count):
                _save(directory / "ports.json", {**own, name: (port, count)})
            _save(root / "ports.json", {**claimed, f"{directory}\n{name}": (port, count)})
            return port
    except OSError as error:
        raise explained(error, f"claim a port for {name} in {directory}") from error


def release(directory: Path) -> None:
    """Give back all that `directory` claimed and forget it."""
    root = processes.runtime_root()
    with FileLock(root / "ports.lock"):
        (directory / "ports.json").unlink(missing_ok=True)
        _save(root / "ports.json", _claims(root))


def known(directory: Path, name: str) -> int | None:
    """The port that `name` had last; None where it never had one."""
    entry = _load(directory).get(name)
    return entry[0] if entry else None


def holder(port: int) -> str | None:
    """Who listens at `port` of this machine, in words; None where nobody does."""
    if _free(port):
        return None
    for pid in _listeners(port):
        try:
            return f"{psutil.Process(pid).name()} (process {pid})"
        except psutil.Error:
            break
    return "another program (whose process this user cannot see)"


def _pick(directory: Path, name: str, old: tuple[int, int] | None, fixed: int | None, count: int, claimed: _Ports) -> int:
    taken = {port for first, size in claimed.values() for port in range(first, first + size)}
    if fixed is not None:
        _refuse_foreign(directory, name, fixed)
        return fixed
    if old and old[1] == count and _soon_usable(directory, range(old[0], old[0] + count), taken):
        return old[0]
    blocks = (END - FIRST) // count
    seed = int(hashlib.sha256(f"{directory}\n{name}".encode()).hexdigest(), 16)
    for attempt in range(blocks):
        first = FIRST + (seed + attempt) % blocks * count
        if all(port not in taken and _free(port) for port in range(first, first + count)):
            return first
    raise PermanentError(f"no {count} free ports in a row between {FIRST} and {END} for {name}; stop what listens there")


def _refuse_foreign(directory: Path, name: str, port: int) -> None:
    who = holder(port)
    if who is not None and not _ours(directory, port):
        raise PermanentError(f"port {port}, asked for by {name}, is in use by {who}; stop that, or choose another port")


def _usable(directory: Path, remembered: range) -> bool:
    """Whether nobody else listens there. What only waits for the end of old connections, as after a replica that stopped, is
    not free to be bound for a minute, and still its owner's."""
    held = [port for port in remembered if not _free(port)]
    listening = {c.laddr.port for c in _listening()} if held else set()
    return all(port not in listening or _ours(directory, port) for port in held)


def _soon_usable(directory: Path, remembered: range, taken: set[int]) -> bool:
    """Whether the ports can be had again: what was killed a moment ago may hold them still, and no event tells their end."""
    deadline = time.monotonic() + _LET_GO_SECONDS
    while taken.isdisjoint(remembered):
        if _usable(directory, remembered):
            return True
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return False


def _free(port: int) -> bool:
    """Whether nobody listens at `port` on any address."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):  # noqa: S104 - tried, not served
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET or error.errno == 98:
                return False
    return True


def _listeners(port: int) -> list[int]:
    """Processes that listen at `port`, as far as this user may see them."""
    return [c.pid for c in _listening() if c.pid and c.laddr.port == port]


def _listening() -> list[Any]:
    """Every socket of this machine that listens; the process of another user's is not told."""
    return [c for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN and c.laddr]


def _ours(directory: Path, port: int) -> bool:
    """Whether a service of `directory` listens at `port`."""
    own = {process.pid for process in processes.marked(directory)}
    return any(pid in own for pid in _listeners(port))


def _claims(root: Path, without: tuple[str, str] | None = None) -> _Ports:
    """What is claimed and still remembered by its data folder: a folder that was removed claims nothing."""
    claims: _Ports = {}
    for key, ports in _read(root / "ports.json").items():
        directory, _, name = key.partition("\n")
        if (directory, name) != without and _load(Path(directory)).get(name) == ports:
            claims[key] = ports
    return claims


def _load(directory: Path) -> _Ports:
    return _read(directory / "ports.json")


def _read(path: Path) -> _Ports:
    try:
        return {name: (int(first), int(count)) for name, (first, count) in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(path: Path, ports: _Ports) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(ports, indent=1))
    temporary.replace(path)
