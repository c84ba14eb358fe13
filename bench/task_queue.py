"""Tasks a second through Redis: ours beside bare Celery, with as many workers, the same data plane, and one client each."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from bench.commands import MeasurementError, run, running
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session
from bench.task_model import LABEL, arguments
from bench.workspace import until
from heliostat.serving.queue.workers import Workers
from heliostat.systems import ports
from heliostat.systems.brokers import open_broker
from heliostat.systems.brokers.base import NewTask

TASKS = 3_000
WORKERS = 2
_ROUNDS = 3
_PATIENCE = 300.0
_EVERY = 0.05
_CELERY = ("celery[redis]==5.7.*",)
WORKER = (sys.executable, "-m", "bench.task_model")


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[str]:
    """A Redis of its own with an append-only file; yields its URL.

    Raises:
        MeasurementError: there is no redis-server, or it does not come up.
    """
    import redis

    if shutil.which("redis-server") is None:
        raise MeasurementError("there is no redis-server on PATH: install Redis 6.2 or newer")
    folder.mkdir(parents=True, exist_ok=True)
    port = ports.claim(folder, "redis")
    argv = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        "--appendonly",
        "yes",
    ]
    try:
        with running([*argv, "--loglevel", "warning", *options], folder), redis.Redis(port=port) as client:
            until(lambda: answers(client), "redis-server does not come up", 30)
            yield f"redis://127.0.0.1:{port}/0"
    finally:
        ports.release(folder)


def answers(client: Any) -> bool:
    """Whether a Redis answers."""
    import redis

    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def throughput(session: Session) -> Iterable[Result]:
    """From the first submission to the last answer of so many tasks, in turn, each against an empty broker."""
    packages = session.folder / "celery"
    run([find_uv_bin(), "pip", "install", "--python", sys.executable, "--target", str(packages), *_CELERY], session.folder)

    def ours() -> float:
        rate = _measured(session, "ours", _with_ours)
        session.tell(f"tasks: {rate:.0f} a second")
        return rate

    def celery() -> float:
        rate = _measured(session, "celery", lambda url, folder: _with_celery(url, folder, packages))
        session.tell(f"the same by Celery: {rate:.0f} a second")
        return rate

    mine, theirs = alternate(ours, celery, _ROUNDS)
    figures = {"tasks": TASKS, "workers": WORKERS, "tasks_per_second": mine, "celery_per_second": theirs}
    yield BY_NAME["tasks/celery"].result(paired_ratio(mine, theirs), **figures)


def _measured(session: Session, name: str, measure: Callable[[str, Path], float]) -> float:
    folder = session.folder / f"tasks-{name}-{time.monotonic_ns()}"
    with redis_server(folder) as url:
        return measure(url, folder)


def _with_ours(url: str, folder: Path) -> float:
    given = arguments(url, str(folder))
    assert given.version.queue is not None  # noqa: S101 - for mypy
    broker = open_broker(given.version.queue, given.application, given.version.store)
    workers = Workers(given, broker, WORKERS, WORKER)
    with ExitStack() as stack:
        stack.callback(broker.close)
        workers.start()
        stack.callback(workers.stop, 10)
        began, deadline = time.perf_counter(), time.time() + 3600
        for n in range(TASKS):
            broker.submit(NewTask(f"{n:032x}", LABEL, b'{"value":%d}' % n, deadline, 4), TASKS)
        until(lambda: broker.depth().ended.get("succeeded", 0) >= TASKS, "tasks are not answered", _PATIENCE, _EVERY)
        return TASKS / (time.perf_counter() - began)


def _with_celery(url: str, folder: Path, packages: Path) -> float:
    import redis

    environment = {"HELIOSTAT_BENCH_BROKER": url, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(packages)))}
    worker = [sys.executable, "-m", "celery", "-A", "bench.celery_app", "worker", "-c", str(WORKERS), "--loglevel", "ERROR"]
    with running(worker, folder, environment), redis.Redis.from_url(url) as client:
        # Each process answers one before it is measured: it makes its data plane with the first.
        submit = [sys.executable, "-m", "bench.celery_client"]
        run([*submit, str(20 * WORKERS)], SOURCE, environment, _PATIENCE)
        until(lambda: _answered(client) >= 20 * WORKERS, "Celery does not answer", _PATIENCE)
        said = run([*submit, str(TASKS)], SOURCE, environment, _PATIENCE).output
        began = float(said.splitlines()[-1])
        until(lambda: _answered(client) >= TASKS + 20 * WORKERS, "Celery does not answer", _PATIENCE, _EVERY)
        return TASKS / (time.time() - began)


def _answered(client: Any) -> int:
    """How many results there are: keys, once nothing waits or is worked on, but for the three that bind the queues."""
    if client.llen("celery") or client.hlen("unacked"):
        return 0
    return int(client.dbsize()) - 3
