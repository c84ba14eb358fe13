"""What starting candidates cost those that serve, against another load of the same CPU."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from bench.answers import Answers
from bench.release_driver import ReleaseDriver, entered, in_phase
from bench.rows import BY_NAME, Result
from bench.session import Session
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen
from heliostat.systems import processes

RATE = 300
_ROUNDS = 3
_STEADY_S = 5.0
_QUANTILE = 0.99


def while_starting(session: Session) -> Iterable[Result]:
    """Rounds of: two candidates that start as a blue-green update has them; another load of their CPU."""
    found: dict[str, list[Answers]] = {"starting": [], "burning": []}
    driver, cpus = ReleaseDriver(session.stack), []
    for _ in range(_ROUNDS):
        answers, cpu = _start(session, driver)
        found["starting"].append(answers)
        cpus.append(cpu)
        found["burning"].append(_burn(session, cpu))
    p99 = {name: _pooled_ms(parts) for name, parts in found.items()}
    session.tell(", ".join(f"{name} {value:.1f} ms" for name, value in p99.items()))
    figures = {
        "p99_ms": p99,
        "p99_ms_by_round": {name: [_pooled_ms([each]) for each in parts] for name, parts in found.items()},
        "cpu_seconds": cpus,
        "failed": {name: sum(each.failed for each in parts) for name, parts in found.items()},
    }
    yield BY_NAME["rollouts/p99-starting"].result(p99["starting"] / p99["burning"], **figures)


def _pooled_ms(parts: list[Answers]) -> float:
    """The quantile of all rounds together."""
    return float(np.quantile(np.concatenate([each.latencies_ms for each in parts]), _QUANTILE))


def _start(session: Session, driver: ReleaseDriver) -> tuple[Answers, float]:
    """The requests that came while candidates started, and the CPU seconds that this took on top of the load's own."""
    desired = driver.next(BlueGreen(retention_seconds=0))
    with session.arrivals(RATE) as load:
        time.sleep(_STEADY_S)
        usual, measured = _cpu(), time.monotonic()
        time.sleep(_STEADY_S)
        a_second = (_cpu() - usual) / (time.monotonic() - measured)
        declared, before, began = time.time(), _cpu(), time.monotonic()
        number = driver.begin(desired)
        rollout = driver.until(number, in_phase(*_STARTED), "the candidates have started")
        cpu = _cpu() - before - a_second * (time.monotonic() - began)
        answers = load.finish()
    driver.ends_well(number)
    return answers.between(declared, entered(rollout, Phase.TESTING)), max(0.0, cpu)


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


def _cpu() -> float:
    """CPU seconds that this machine has spent, idling aside."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.softirq)
