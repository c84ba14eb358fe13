"""Analysis runners are processes: told where replicas answer, begun again when they die, gone when nobody asks for them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio
from test_store import wanted

from heliostat.controller import analysis_runners
from heliostat.controller.action_executor import ActionExecutor
from heliostat.controller.analysis_runners import AnalysisRunners
from heliostat.controller.backends.serving import Deployments
from heliostat.controller.golden import GoldenTests
from heliostat.rollout.model import Analyse, Colour, ColourSpec, Observed, Progress, State
from heliostat.spec.analysis import Analysis, CustomCheck, Measurements
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen
from heliostat.systems import processes

ONE, TWO = Endpoints(candidate=("http://a",)), Endpoints(candidate=("http://a", "http://b"))


def task(fault: str = "none") -> AnalysisTask:
    check = CustomCheck(name=fault, command=("true",))
    return AnalysisTask(application="flights", analysis=Analysis(checks=(check,)), candidate=wanted().version, serving=None)


class World:
    """Analysis runners, with what they said."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.news = asyncio.Event()
        self.analysis_runners = AnalysisRunners("tiny_analysis_runner", directory, self.news.set)

    async def until(self, holds: Callable[[Measurements], bool], key: str = "1") -> Measurements:
        async with asyncio.timeout(60):
            while True:
                figures = self.analysis_runners.figures("flights", key)
                if figures is not None and holds(figures):
                    return figures
                self.news.clear()
                await self.news.wait()

    def tasks(self) -> list[Path]:
        return list(self.directory.glob("analysis-flights-*.json"))

    def begun(self) -> list[Path]:
        return sorted(self.directory.glob("analysis-flights-*.begun.pid"), key=lambda path: path.stat().st_mtime_ns)

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(int(self.begun()[-1].read_text()))


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(analysis_runners, "_FIRST_SECONDS", 0.05)
    found = World(tmp_path)
    yield found
    await found.analysis_runners.close()
    assert not found.tasks()


async def test_it_hears_where_replicas_answer_and_that_they_changed(world: World) -> None:
    world.analysis_runners.ask("1", task(), ONE)
    assert (await world.until(lambda found: found.requests == 100)).checks[0].text.startswith("begun 1 times")
    world.analysis_runners.ask("1", task(), TWO)
    figures = await world.until(lambda found: found.requests == 200)
    priority = max(10, os.getpriority(os.PRIO_PROCESS, 0))
    assert figures.checks[0].text == f"begun 1 times, priority {priority}, mode 600"


async def test_while_nobody_asks_only_those_that_are_named_go_on(world: World) -> None:
    world.analysis_runners.ask("1", task(), ONE)
    await world.until(lambda found: found.requests == 100)
    process = world.process
    world.analysis_runners.end_but({"flights"})
    assert process.is_running()
    assert world.analysis_runners.figures("flights", "1") is not None
    world.analysis_runners.end_but(frozenset())
    assert world.analysis_runners.figures("flights", "1") is None
    await world.analysis_runners.close()
    assert not process.is_running()


async def test_one_that_dies_is_begun_again_and_its_last_words_are_told(world: World) -> None:
    world.analysis_runners.ask("1", task("dies-once"), ONE)
    assert "ended with 3: no such column" in (await world.until(lambda found: bool(found.error))).error
    assert "begun 2 times" in (await world.until(lambda found: not found.error)).checks[0].text


async def test_one_that_is_begun_again_knows_how_much_of_the_time_is_over(world: World) -> None:
    late = task("dies-once").model_copy(update={"elapsed_seconds": 40.0})
    world.analysis_runners.ask("1", late, ONE)
    await world.until(lambda found: bool(found.error))
    world.analysis_runners.ask("1", late.model_copy(update={"elapsed_seconds": 900.0}), ONE)
    await world.until(lambda found: not found.error)
    (path,) = world.tasks()
    assert 40 + 0.05 <= AnalysisTask.model_validate_json(path.read_text()).elapsed_seconds < 80


def analysed(analysis_at: float | None) -> State:
    """One whose candidate is analysed: it has its share since 1000, in Unix time."""
    slot = ColourSpec(desired=wanted(), replicas=2)
    rollout = Progress(
        number=2, phase=Phase.ANALYSING, strategy=BlueGreen(), candidate=Colour.GREEN, target=wanted(), started_at=900.0,
        since=1000.0, way_back=BlueGreen(), stage_at=1000.0, analysis_at=analysis_at,
    )  # fmt: skip
    return State(name="flights", blue=slot, green=slot, live=Colour.BLUE, rollout=rollout)


@pytest.mark.parametrize(
    ("analysis_at", "now", "elapsed"), [(1500.0, 1620.0, 120.0), (None, 1620.0, 620.0), (1500.0, 1400.0, 0.0)]
)
async def test_the_task_says_how_much_of_the_analysis_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch, analysis_at: float | None, now: float, elapsed: float
) -> None:
    asked: list[AnalysisTask] = []
    monkeypatch.setattr(world.analysis_runners, "ask", lambda _key, task, _endpoints: asked.append(task))
    async with httpx.AsyncClient() as client:
        hands = ActionExecutor(GoldenTests(client, lambda *_: None), world.analysis_runners, lambda: now)
        action = Analyse("1", Colour.GREEN, task().analysis)
        hands.begin([(analysed(analysis_at), Observed(), action)], Deployments())
    (found,) = asked
    assert found.elapsed_seconds == elapsed


async def test_one_that_is_done_is_left_alone_with_its_figures(world: World) -> None:
    world.analysis_runners.ask("1", task("done"), ONE)
    await world.until(lambda found: found.exhausted)
    await asyncio.sleep(0.3)
    world.analysis_runners.ask("1", task("done"), TWO)
    figures = world.analysis_runners.figures("flights", "1")
    assert figures is not None
    assert "begun 1 times" in figures.checks[0].text


async def test_another_key_is_another_one_from_the_start(world: World) -> None:
    world.analysis_runners.ask("1", task(), ONE)
    await world.until(lambda found: found.requests == 100)
    first = world.process
    world.analysis_runners.ask("2", task(), ONE)
    assert world.analysis_runners.figures("flights", "1") is None
    assert world.analysis_runners.figures("flights", "2") is None
    await world.until(lambda found: found.requests == 100, "2")
    await asyncio.to_thread(first.wait, 5)


async def test_the_end_of_one_does_not_take_the_task_of_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.analysis_runners.ask("1", task("deaf"), ONE)
    while not world.begun():  # noqa: ASYNC110 - it says nothing
        await asyncio.sleep(0.02)
    monkeypatch.setattr(analysis_runners, "_STOP_SECONDS", 0.2)
    world.analysis_runners.ask("2", task(), ONE)
    await world.until(lambda found: found.requests == 100, "2")
    async with asyncio.timeout(60):
        while len(world.tasks()) > 1:  # noqa: ASYNC110 - nothing tells that a file is gone
            await asyncio.sleep(0.02)
    (task_of_second,) = world.tasks()
    found = AnalysisTask.model_validate_json(task_of_second.read_text())
    assert found.model_copy(update={"elapsed_seconds": 0.0}) == task()


async def test_nobody_asking_ends_it(world: World) -> None:
    world.analysis_runners.ask("1", task(), ONE)
    await world.until(lambda found: found.requests == 100)
    process = world.process
    world.analysis_runners.sweep()
    assert process.is_running()
    world.analysis_runners.sweep()
    assert world.analysis_runners.figures("flights", "1") is None
    await asyncio.to_thread(process.wait, 5)


async def test_one_that_does_not_hear_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_runners, "_STOP_SECONDS", 0.2)
    world.analysis_runners.ask("1", task("deaf"), ONE)
    async with asyncio.timeout(60):
        while not world.begun():  # noqa: ASYNC110 - it says nothing
            await asyncio.sleep(0.02)
    process = world.process
    await world.analysis_runners.close()
    with contextlib.suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(process.wait, 5)


async def test_a_module_that_is_not_there_is_told_and_tried_again(world: World) -> None:
    world.analysis_runners._module = "no_such_runner"
    world.analysis_runners.ask("1", task(), ONE)
    assert "No module named no_such_runner" in (await world.until(lambda found: bool(found.error))).error


async def test_one_that_cannot_be_forked_is_told_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fork, tries = asyncio.create_subprocess_exec, list[float]()

    async def fails_twice(*argv: str, **options: Any) -> Process:
        tries.append(asyncio.get_running_loop().time())
        if len(tries) <= 2:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return await fork(*argv, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fails_twice)
    world.analysis_runners.ask("1", task(), ONE)
    assert "cannot be started: Resource temporarily" in (await world.until(lambda found: bool(found.error))).error
    assert "begun 1 times" in (await world.until(lambda found: not found.error)).checks[0].text
    first = analysis_runners._FIRST_SECONDS
    waited = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert waited[0] >= first * 0.99 and waited[1] >= 2 * first * 0.99, "less and less often"


async def test_a_task_that_cannot_be_written_for_a_while_keeps_none_from_being_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = processes.write_private, [True]

    def on_a_full_disk(path: Path, text: str) -> None:
        if full.pop() if full else False:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    monkeypatch.setattr(processes, "write_private", on_a_full_disk)
    world.analysis_runners.ask("1", task(), ONE)
    assert "No space left" in (await world.until(lambda found: bool(found.error))).error
    await world.until(lambda found: not found.error)


async def test_one_whose_controller_was_killed_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    script = """
import asyncio, os, signal, sys
from pathlib import Path
from test_analysis_runners import ONE, World, task

async def main() -> None:
    world = World(Path(sys.argv[1]))
    world.analysis_runners.ask("1", task(), ONE)
    await world.until(lambda found: found.requests == 100)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    controller = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path))
    assert await asyncio.wait_for(controller.wait(), 30) == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(World(tmp_path).process.wait, 5)
