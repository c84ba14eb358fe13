"""What starting candidates cost those that serve, against another load of the same CPU; and what lowers it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

from bench.answers import Answers
from bench.moves import Moves, entered, in_phase
from bench.rows import BY_NAME, Result
from bench.session import Session
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen, Rolling, Strategy
from heliostat.systems import processes

RATE = 300
_ROUNDS = 3
_STEADY_S = 5.0
_LOOK_S = 0.02
_LOWEST = 19
_QUANTILE = 0.99


def while_starting(session: Session) -> Iterable[Result]:
    """Rounds of: two candidates that start at once; another load of their CPU; one after the other; at a low priority."""
    found: dict[str, list[Answers]] = {"at_once": [], "burning": [], "one_by_one": [], "low_priority": []}
    moves, cpus = Moves(session.stack), []
    at_once = BlueGreen(retention_seconds=0)
    for _ in range(_ROUNDS):
        answers, cpu = _start(session, moves, at_once)
        found["at_once"].append(answers)
        cpus.append(cpu)
        found["burning"].append(_burn(session, cpu))
        found["one_by_one"].append(_start(session, moves, Rolling(percentage=1))[0])
        with _reniced(session):
            found["low_priority"].append(_start(session, moves, at_once)[0])
    p99 = {name: _pooled_ms(parts) for name, parts in found.items()}
    session.tell(", ".join(f"{name.replace('_', ' ')} {value:.1f} ms" for name, value in p99.items()))
    figures = {
        "p99_ms": p99,
        "cpu_seconds": cpus,
        "failed": {name: sum(each.failed for each in parts) for name, parts in found.items()},
    }
    yield BY_NAME["rollouts/p99-starting"].result(p99["at_once"] / p99["burning"], **figures)
    yield BY_NAME["rollouts/p99-one-by-one"].result(p99["one_by_one"] / p99["at_once"])
    yield BY_NAME["rollouts/p99-low-priority"].result(p99["low_priority"] / p99["at_once"])


def _pooled_ms(parts: list[Answers]) -> float:
    """The quantile of all rounds together."""
    return float(np.quantile(np.concatenate([each.latencies_ms for each in parts]), _QUANTILE))


def _start(session: Session, moves: Moves, strategy: Strategy) -> tuple[Answers, float]:
    """The requests that came while candidates started, and the CPU seconds that this took on top of the load's own."""
    desired = moves.next(strategy)
    with session.arrivals(RATE) as load:
        time.sleep(_STEADY_S)
        usual, measured = _cpu(), time.monotonic()
        time.sleep(_STEADY_S)
        a_second = (_cpu() - usual) / (time.monotonic() - measured)
        declared, before, began = time.time(), _cpu(), time.monotonic()
        number = moves.begin(desired)
        started = in_phase(Phase.RETIRING, Phase.SUCCEEDED) if isinstance(strategy, Rolling) else in_phase(*_STARTED)
        rollout = moves.until(number, started, "the candidates have started")
        cpu = _cpu() - before - a_second * (time.monotonic() - began)
        answers = load.finish()
    last = Phase.RETIRING if isinstance(strategy, Rolling) else Phase.TESTING
    moves.ends_well(number)
    return answers.between(declared, entered(rollout, last)), max(0.0, cpu)


_STARTED = (Phase.TESTING, Phase.SHIFTING, Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED)


def _burn(session: Session, cpu: float) -> Answers:
    """The requests that came while as many processes as candidates burnt `cpu` seconds, at the priority that replicas have."""
    count = session.stack.replicas
    spawned = multiprocessing.get_context("spawn")
    with session.arrivals(RATE) as load:
        time.sleep(_STEADY_S)
        burners = [spawned.Process(target=burn, args=(cpu / count, _niceness(session))) for _ in range(count)]
        for burner in burners:
            burner.start()
        began = time.time()
        for burner in burners:
            burner.join()
        ended = time.time()
        answers = load.finish()
    return answers.between(began, ended)


def burn(cpu: float, niceness: int) -> None:
    """Compute for `cpu` seconds of this process."""
    os.nice(niceness - os.nice(0))
    while time.process_time() < cpu:
        sum(range(10_000))


def _niceness(session: Session) -> int:
    """That of the replicas that serve."""
    return max((niceness for pid in _workers(_raylets(session)) if (niceness := _nice_of(pid)) is not None), default=0)


@contextmanager
def _reniced(session: Session) -> Iterator[None]:
    """Workers that come into being while the block lasts run at the lowest priority, until it ends."""
    raylets, usual = _raylets(session), _niceness(session)
    known = _workers(raylets)
    over = threading.Event()
    lowered: set[int] = set()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            for pid in _workers(raylets) - known - lowered:
                _renice(pid, _LOWEST)
                lowered.add(pid)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for pid in lowered:
            _renice(pid, usual)


def _raylets(session: Session) -> list[int]:
    found = []
    for process in processes.marked(session.stack.workspace.data / "ray"):
        with suppress(psutil.Error):
            if process.name() == "raylet":
                found.append(process.pid)
    return found


def _workers(raylets: Iterable[int]) -> set[int]:
    """The processes that these started: replicas, what may become one, and their agents. Cheap enough to ask often."""
    found: set[int] = set()
    for raylet in raylets:
        for children in Path(f"/proc/{raylet}/task").glob("*/children"):
            with suppress(OSError):
                found.update(int(pid) for pid in children.read_text().split())
    return found


def _nice_of(pid: int) -> int | None:
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return None


def _renice(pid: int, niceness: int) -> None:
    """Of all its threads: each has its own on Linux."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), niceness)


def _cpu() -> float:
    """CPU seconds that this machine has spent, idling aside."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.softirq)
