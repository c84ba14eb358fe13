"""Starts services again that died: `python -I -S keeper.py FOLDER...`, each a data folder with records of services.

It runs beside them all the time, so it is small: the standard library alone, no package of the environment. What it does is
wait for the ends of those that are to be kept (see `heliostat.systems.processes`), and run `heliostat.systems.revival`, which
starts one again. Whoever stops a service says so in its record first. The controller keeps watch over this process in turn.
"""

# ruff: noqa: PTH118, PTH123, PTH208 - pathlib is not small

from __future__ import annotations

import json
import os
import select
import sys
import time

LOOK_SECONDS = 2.0
"""Between looks for records that are new; an end wakes it up at once."""
FIRST_DELAY = 0.25
LONGEST_DELAY = 60.0
HEALTHY_SECONDS = 30.0
"""What ran for so long begins anew with the shortest delay."""


class Patience:
    """How long to wait until a service is started again, longer each time that it dies soon."""

    def __init__(self) -> None:
        self._delay = 0.0
        self._died = float("-inf")

    def delay(self, now: float) -> float:
        """The seconds to wait for a service that just died."""
        soon = now - self._died < self._delay + HEALTHY_SECONDS
        self._delay = min(LONGEST_DELAY, self._delay * 2) if soon and self._delay else FIRST_DELAY
        self._died = now
        return self._delay


def main(folders: list[str]) -> None:
    """Watch, for ever."""
    patience: dict[tuple[str, str], Patience] = {}
    due: dict[tuple[str, str], float] = {}
    while True:
        kept = {place: record for folder in folders for place, record in records(folder)}
        ends = {opened: place for place, record in kept.items() if (opened := _opened(record)) is not None}
        now = time.monotonic()
        for place in kept.keys() - set(ends.values()) - due.keys():
            due[place] = now + patience.setdefault(place, Patience()).delay(now)
        due = {place: at for place, at in due.items() if place in kept and place not in ends.values()}
        _wait(list(ends), min([LOOK_SECONDS, *(at - now for at in due.values())]))
        for place in [place for place, at in due.items() if at <= time.monotonic()]:
            del due[place]
            _revive(*place)


def records(folder: str) -> list[tuple[tuple[str, str], dict[str, object]]]:
    """The services of a folder that are to be kept and were not stopped, each with its folder and name."""
    found = []
    try:
        names = [name.removesuffix(".pid.json") for name in os.listdir(folder) if name.endswith(".pid.json")]
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
    except OSError:
        return []
    for name in names:
        try:
            with open(os.path.join(folder, f"{name}.pid.json")) as file:
                record = json.load(file)
            mine = record["pid"] == os.getpid()
            if record.get("kept") and not record.get("stopped") and record["boot"] == boot and not mine:
                found.append(((folder, name), record))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue
    return found


def _opened(record: dict[str, object]) -> int | None:
    """A descriptor that tells of the process's end; None where it has ended."""
    pid = int(str(record["pid"]))
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    if _state_and_start(pid) == (True, record["started"]):
        return descriptor
    os.close(descriptor)
    return None


def _state_and_start(pid: int) -> tuple[bool, int] | None:
    """Whether the process is no zombie, and when it started, in clock ticks after boot; see proc_pid_stat(5)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0] not in "ZX", int(fields[19])


def _wait(descriptors: list[int], seconds: float) -> None:
    """Until one of the processes ends, or for so long."""
    ends = select.poll()
    for descriptor in descriptors:
        ends.register(descriptor, select.POLLIN)
    try:
        ends.poll(max(0.0, seconds) * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _revive(folder: str, name: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {name} in {folder} died; starting it again", flush=True)  # noqa: T201
    argv = [sys.executable, "-P", "-m", "heliostat.systems.revival", folder, name]
    try:
        os.waitpid(os.posix_spawn(sys.executable, argv, os.environ), 0)
    except OSError as error:
        print(f"{name} cannot be started again: {error}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
