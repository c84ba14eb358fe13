"""The lock of a stack, as the official CLI keeps it: a file that names its process, beside the others' files.

Whoever finds only its own file holds the lock. A file whose process is dead on this same host is removed with a notice.
"""

from __future__ import annotations

import contextlib
import datetime
import getpass
import itertools
import json
import math
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from heliostat.engine.stackerrors import LockedError
from heliostat.engine.state.bucket import Bucket

_CLOCK_TOLERANCE_S = 5.0
_ATTEMPTS = 4
"""How often somebody tries who was not there first nor last."""
_LOOK_S = 5.0
"""How often somebody who waits looks again."""


@dataclass(frozen=True)
class Lock:
    """Who holds a stack. `timestamp` is the file's own, in RFC 3339; `hostname` is empty where the file is unreadable."""

    key: str
    pid: int
    username: str
    hostname: str
    timestamp: str

    def told(self) -> str:
        """One line for a message."""
        if not self.hostname:
            return f"{self.key}: unreadable"
        return f"{self.username}@{self.hostname} (pid {self.pid}) since {self.timestamp}"


def folder(stack: str) -> str:
    """Where the locks of `organization/project/name` are."""
    return f".pulumi/locks/{stack}"


def held(bucket: Bucket, stack: str) -> list[Lock]:
    """Every lock on the stack, also those of dead processes."""
    found = []
    for key in bucket.list(folder(stack)):
        content = bucket.read(key)
        if content is not None:  # else it was removed meanwhile
            found.append(_parse(key, content))
    return found


def _parse(key: str, content: bytes) -> Lock:
    try:
        said = json.loads(content)
        return Lock(key, int(said["pid"]), str(said["username"]), str(said["hostname"]), str(said["timestamp"]))
    except (ValueError, KeyError, TypeError):
        return Lock(key, 0, "", "", "")


def process_started(pid: int) -> float | None:
    """When the living process `pid` of this host began, in seconds since 1970; None where there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0.0


def is_dead(lock: Lock, host: str, started: Callable[[int], float | None] = process_started) -> bool:
    """Whether the lock's process was of this host and is gone (a later process may have got its number)."""
    if lock.hostname != host or lock.pid <= 0:
        return False
    began = started(lock.pid)
    if began is None:
        return True
    try:
        taken = datetime.datetime.fromisoformat(lock.timestamp).timestamp()
    except ValueError:
        return False
    return began > taken + _CLOCK_TOLERANCE_S


def is_held(bucket: Bucket, stack: str) -> bool:
    """Whether somebody holds the stack who is not known to be dead."""
    host = socket.gethostname()
    return any(not is_dead(lock, host) for lock in held(bucket, stack))


def release_all(bucket: Bucket, stack: str) -> int:
    """Removes every lock of the stack, whoever holds it; tells how many there were."""
    keys = bucket.list(folder(stack))
    for key in keys:
        bucket.delete(key)
    return len(keys)


def release_older(bucket: Bucket, stack: str, moment: float, notice: Callable[[str], None]) -> None:
    """Removes the stack's locks from before a moment, in seconds since 1970, for whoever knows that nothing takes so long."""
    for lock in held(bucket, stack):
        try:
            taken = datetime.datetime.fromisoformat(lock.timestamp).timestamp()
        except ValueError:
            continue  # nobody can tell
        if taken < moment:
            bucket.delete(lock.key)
            notice(f"removed a lock that nobody can hold any more: {lock.told()}")


def wait_until_free(
    bucket: Bucket,
    stack: str,
    seconds: float,
    notice: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    *,
    lost_before: float | None = None,
) -> None:
    """Waits until nobody holds the stack, but no longer than so; whoever takes it next finds the lock as ever.

    For jobs that nobody looks at: of two that come at once, the second is not to fail. Locks from before `lost_before` are
    removed first.
    """
    if lost_before is not None:
        release_older(bucket, stack, lost_before, notice)
    host = socket.gethostname()
    for round_ in range(math.ceil(seconds / _LOOK_S)):
        living = [lock for lock in held(bucket, stack) if not is_dead(lock, host)]
        if not living:
            return
        if round_ == 0:
            notice(f"{stack.rpartition('/')[2]} is held by {living[0].told()}: waiting, for {seconds:g} s at most")
        sleep(_LOOK_S)


@contextlib.contextmanager
def locked(
    bucket: Bucket, stack: str, notice: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Holds the lock of `organization/project/name`; raises LockedError where another process does.

    Of those that come at one instant one gets it: whoever finds another's file after he wrote his own takes that away, and
    tries once more after a moment of his own.
    """
    mine = _take(bucket, stack, notice, sleep)
    try:
        yield
    finally:
        bucket.delete(mine)


def _take(bucket: Bucket, stack: str, notice: Callable[[str], None], sleep: Callable[[float], None]) -> str:
    """The key of a lock of ours, beside which there is none of anybody who lives."""
    mine = f"{folder(stack)}/{uuid.uuid4()}.json"
    for attempt in itertools.count(1):
        _refuse_others(bucket, stack, mine, notice)
        bucket.write(mine, json.dumps(_myself()).encode())
        try:
            _refuse_others(bucket, stack, mine, notice)
            break
        except LockedError:
            bucket.delete(mine)
            if attempt == _ATTEMPTS:
                raise
        except BaseException:
            bucket.delete(mine)
            raise
        sleep(attempt * random.uniform(0.1, 1.0))  # noqa: S311 -- nothing is hidden by it
    return mine


def myself() -> str:
    """This process as a lock names it: user, host and number."""
    return f"{_user()}@{socket.gethostname()} (pid {os.getpid()})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return str(os.getuid())


def _myself() -> dict[str, object]:
    now = datetime.datetime.now().astimezone().isoformat()
    return {"pid": os.getpid(), "username": _user(), "hostname": socket.gethostname(), "timestamp": now}


def _refuse_others(bucket: Bucket, stack: str, mine: str, notice: Callable[[str], None]) -> None:
    others = [lock for lock in held(bucket, stack) if lock.key != mine]
    host = socket.gethostname()
    living = [lock for lock in others if not is_dead(lock, host)]
    for lock in others:
        if lock not in living:
            bucket.delete(lock.key)
            notice(f"removed the lock of a dead process: {lock.told()}")
    if living:
        name = stack.rpartition("/")[2]
        who = "".join(f"\n  {lock.told()}\n    {bucket.describe(lock.key)}" for lock in living)
        raise LockedError(
            f"the stack {name!r} is locked:{who}\n"
            f"Wait until that process ends. If it is gone for good, clear the lock with `heliostat cancel -s {name}`."
        )
