"""Tasks of which none is lost and none answered twice, while workers, those who look after them, and the broker are killed.

By itself: `python -m bench.task_kills --tasks 10000`; it needs a redis-server and prints what was killed and found.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import psutil

from bench.commands import MeasurementError
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session
from bench.task_model import LABEL, arguments
from bench.task_queue import WORKER, WORKERS
from heliostat.spec.rollouts import ServingArguments
from heliostat.systems import ports
from heliostat.systems.brokers import open_broker
from heliostat.systems.brokers.base import NewTask, TaskBroker, TaskState
from heliostat.systems.errors import PermanentError, RetryableError

TASKS = 100_000
_ATTEMPTS = 10
_LEASE_SECONDS = 3.0
_BETWEEN_KILLS = 1.5
_PATIENCE = 120.0
_PER_SECOND = 500
_SEED = 12


@dataclass
class Findings:
    """What came of it."""

    tasks: int = 0
    lost: int = 0
    answered_twice: int = 0
    wrong: int = 0
    seconds: float = 0.0
    refused: int = 0
    """Submissions that the broker did not answer, which were made again with the same id."""
    kills: dict[str, int] = field(default_factory=lambda: {"worker": 0, "supervisor": 0, "broker": 0})

    @property
    def bad(self) -> int:
        """Tasks lost, answered twice or answered wrongly."""
        return self.lost + self.answered_twice + self.wrong


class World:
    """A broker and workers, any of which can be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = ports.claim(folder, "redis")
        self.given = arguments(f"redis://127.0.0.1:{self._port}/0", str(folder), lease_seconds=_LEASE_SECONDS)
        self._redis: subprocess.Popen[bytes] | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start_broker(self) -> None:
        """Start it with what it had."""
        argv = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        argv += ["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"]
        self._redis = subprocess.Popen(argv, stdout=subprocess.DEVNULL)  # noqa: S603 - arguments of ours

    def start_workers(self) -> None:
        """Start who looks after them, and them with it."""
        file = self._folder / "arguments.json"
        file.write_text(self.given.model_dump_json())
        argv = [sys.executable, "-m", "bench.task_kills", "--supervise", str(file)]
        self._supervisor = subprocess.Popen(argv, cwd=SOURCE, start_new_session=True)  # noqa: S603

    def kill_worker(self, chance: random.Random) -> bool:
        """Kill one; whether there was one."""
        pids = self._workers()
        if pids:
            os.kill(chance.choice(pids), signal.SIGKILL)
        return bool(pids)

    def kill_supervisor(self) -> bool:
        """Kill who looks after them with all of them, as a node that goes; others come."""
        if self._supervisor is None or not self._workers():
            return False
        os.killpg(self._supervisor.pid, signal.SIGKILL)
        self._supervisor.wait()
        self.start_workers()
        return True

    def kill_broker(self) -> bool:
        """Kill it, and start it with what it had."""
        if self._redis is None:
            return False
        self._redis.kill()
        self._redis.wait()
        self.start_broker()
        return True

    def end(self) -> None:
        """End all of it."""
        if self._supervisor is not None:
            os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()
        if self._redis is not None:
            self._redis.kill()
            self._redis.wait()
        ports.release(self._folder)

    def _workers(self) -> list[int]:
        if self._supervisor is None:
            return []
        try:
            return [child.pid for child in psutil.Process(self._supervisor.pid).children()]
        except psutil.NoSuchProcess:
            return []


def measure(tasks: int, folder: Path, tell: Callable[[str], None]) -> Findings:
    """Submit so many while this and that is killed, and look at how each ended.

    Raises:
        MeasurementError: there is no redis-server, or tasks go on for ever.
    """
    if shutil.which("redis-server") is None:
        raise MeasurementError("there is no redis-server on PATH: install Redis 6.2 or newer")
    found, world = Findings(tasks=tasks), World(folder)
    world.start_broker()
    world.start_workers()
    queue = world.given.version.queue
    assert queue is not None  # noqa: S101 - for mypy
    broker = open_broker(queue, world.given.application, world.given.version.store)
    stop = threading.Event()
    killer = threading.Thread(target=_kill, args=(world, broker, found, stop))
    try:
        # Before the first answer there is nothing to kill.
        _submit(broker, 0, found)
        _await_ends(broker)
        began = time.monotonic()
        killer.start()
        for n in range(1, tasks):
            # Not all at once: what is killed is to meet tasks in every state.
            time.sleep(max(0.0, began + n / _PER_SECOND - time.monotonic()))
            _submit(broker, n, found)
            if n % 10_000 == 9_999:
                tell(f"{n + 1} tasks are submitted, {found.kills} were killed")
        # All that is killed was killed; what is still open is worked on in peace.
        stop.set()
        killer.join()
        _await_ends(broker)
        _look(broker, found)
    finally:
        stop.set()
        if killer.is_alive():
            killer.join()
        broker.close()
        world.end()
    found.seconds = time.monotonic() - began
    return found


def _submit(broker: TaskBroker, n: int, found: Findings) -> None:
    """Submit one until the broker says that it has it, as a client does that was told 503."""
    task = NewTask(_id(n), LABEL, b'{"value":%d}' % n, time.time() + 86_400, _ATTEMPTS)
    while True:
        try:
            broker.submit(task, 1_000_000)
        except RetryableError:
            found.refused += 1
            time.sleep(0.02)
        else:
            return


def _kill(world: World, broker: TaskBroker, found: Findings, stop: threading.Event) -> None:
    """Kill this and that until `stop`, the next once tasks have ended since: what is killed before it has started shows
    nothing, and on busy cores nothing else would be."""
    chance = random.Random(_SEED)  # noqa: S311 - no secret
    ended = 0
    while not stop.wait(_BETWEEN_KILLS):
        if (by_now := _ended(broker)) <= ended:
            continue
        ended = by_now
        what = chance.choices(("worker", "broker", "supervisor"), (6, 3, 1))[0]
        done = {
            "worker": lambda: world.kill_worker(chance),
            "broker": world.kill_broker,
            "supervisor": world.kill_supervisor,
        }[what]()
        found.kills[what] += done


def _await_ends(broker: TaskBroker) -> None:
    """Return once no task is open.

    Raises:
        MeasurementError: none of them has ended for too long.
    """
    ended, since = -1, time.monotonic()
    while left := _open(broker):
        if (by_now := _ended(broker)) > ended:
            ended, since = by_now, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            raise MeasurementError(f"{left} tasks are open, and none has ended for {_PATIENCE:g} s")
        time.sleep(0.2)


def _open(broker: TaskBroker) -> int:
    """How many tasks wait or run; 1 while the broker does not say."""
    try:
        depth = broker.depth()
    except RetryableError:
        return 1
    return depth.waiting + depth.running


def _ended(broker: TaskBroker) -> int:
    """How many tasks ever ended; -1 while the broker does not say."""
    try:
        return sum(broker.depth().ended.values())
    except RetryableError:
        return -1


def _look(broker: TaskBroker, found: Findings) -> None:
    for n in range(found.tasks):
        task = broker.read(_id(n))
        if task is None or task.state is not TaskState.SUCCEEDED:
            found.lost += 1
        elif json.loads(task.answer) != {"twice": 2.0 * n}:
            found.wrong += 1
    # Each end that was stored is counted once, in the step that stores it.
    found.answered_twice = max(0, broker.depth().ended.get("succeeded", 0) - found.tasks)


def _id(n: int) -> str:
    return f"{n:032x}"


def lost(session: Session) -> Iterable[Result]:
    """100,000 tasks under kills."""
    folder = session.folder / "task-kills"
    folder.mkdir()
    found = measure(TASKS, folder, session.tell)
    yield BY_NAME["tasks/lost"].result(found.bad, **asdict(found))


def supervise(given: ServingArguments) -> None:
    """Look after workers until killed."""
    from heliostat.serving.queue.workers import Workers

    queue = given.version.queue
    assert queue is not None  # noqa: S101
    while True:
        workers = Workers(given, open_broker(queue, given.application, given.version.store), WORKERS, WORKER)
        try:
            workers.start()
        except PermanentError as error:
            # Killed again and again while they started: Serve would make another replica.
            click.echo(f"again: {error}", err=True)
            continue
        signal.pause()


@click.command()
@click.option("--tasks", type=click.IntRange(min=1), default=10_000, show_default=True, help="How many tasks are submitted.")
@click.option("--supervise", "file", type=click.Path(path_type=Path), hidden=True)
def main(tasks: int, file: Path | None) -> None:
    """Submit tasks while workers and broker are killed. Exit code 1 where one is lost, or answered twice or wrongly."""
    if file is not None:
        supervise(ServingArguments.model_validate_json(file.read_text()))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(tasks, Path(folder), click.echo)
    click.echo(json.dumps(asdict(found), indent=2))
    sys.exit(1 if found.bad else 0)


if __name__ == "__main__":
    main()
