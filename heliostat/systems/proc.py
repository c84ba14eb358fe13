"""What Linux tells of processes: their ends, by pidfd and without polling, and what stands of them in /proc."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_EXITING = 0x4
"""PF_EXITING of the kernel's flags of a process."""
_ENVIRONMENT = slice(47, 49)
"""Where a process's environment begins and ends in its memory, env_start and env_end, in what `_stat` returns."""


async def exited(process: psutil.Process, seconds: float) -> bool:
    """Whether `process` ended within `seconds`; wakes at its end, without polling."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), seconds)
        return True
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def wait_until_gone(pid: int, seconds: float) -> bool:
    """Whether all threads of the process ended within `seconds`; a zombie is gone: its files and sockets are closed."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        return bool(ended.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def is_ending(pid: int) -> bool:
    """Whether the process is gone, a zombie or on its way out, or a SIGKILL waits for it."""
    try:
        state, *fields = _stat(pid)
        pending = [
            int(line.split()[1], 16)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith(("SigPnd:", "ShdPnd:"))
        ]
    except OSError:
        return True
    killed = any(signals & 1 << signal.SIGKILL - 1 for signals in pending)
    return state in "ZX" or bool(int(fields[5]) & _EXITING) or killed


def ending_in_session(session: int) -> list[int]:
    """The processes of a session that were killed or end by themselves, and are not gone yet."""
    return [pid for pid in psutil.pids() if _session(pid) == session and is_ending(pid)]


def environments() -> Iterator[tuple[psutil.Process, bytes]]:
    """Every live process of this user but this one, with its environment."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = _environment(int(entry.name))
            if environment and entry.stat().st_uid == os.getuid():
                yield psutil.Process(int(entry.name)), environment
        except (OSError, psutil.Error):
            continue


def started(pid: int) -> int:
    """When the process started, in clock ticks after boot: unlike a time of day, no clock's step changes it."""
    return int(_stat(pid)[19])


def boot_id() -> str:
    """The kernel's name for the time since this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _environment(pid: int) -> bytes:
    """The environment of the process.

    While it changes over to another program (execve) the kernel shows none: for less than a millisecond on an idle machine,
    for as long as it waits for a processor on a busy one. The one that comes is waited for, up to a second.
    """
    path = Path(f"/proc/{pid}/environ")
    latest = time.monotonic() + 1
    while not (environment := path.read_bytes()) and not _has_none(pid) and time.monotonic() < latest:
        time.sleep(0.001)
    return environment


def _has_none(pid: int) -> bool:
    """Whether its program was started with an empty environment; there is no place for one before it is started."""
    begin, end = _stat(pid)[_ENVIRONMENT]
    return begin == end != "0"


def _session(pid: int) -> int | None:
    try:
        return int(_stat(pid)[3])
    except OSError:
        return None


def _stat(pid: int) -> list[str]:
    """What the kernel tells of the process, from its state on; see proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
