"""Services that come back by themselves when they die."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heliostat.controller.keeping import watch_over_keeper
from heliostat.spec.controller import KEEPER_SERVICE
from heliostat.systems import keeper, processes

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(600)")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    found = tmp_path / "data"
    yield found
    for name in (KEEPER_SERVICE, "kept", "other"):
        await processes.stop(found, name, grace_seconds=0)


def service(folder: Path, name: str = "kept", kept: bool = True, **environment: str) -> processes.Service:
    return processes.Service(folder, name, SLEEP, environment, kept=kept)


def watch(folder: Path) -> processes.Service:
    argv = (sys.executable, "-I", "-S", keeper.__file__, str(folder))
    return processes.Service(folder, KEEPER_SERVICE, argv, kept=True)


async def kill(folder: Path, name: str) -> int:
    """SIGKILL; the process that it was."""
    process = processes.find(folder, name)
    assert process is not None
    process.kill()
    await _until(lambda: processes.find(folder, name) != process)
    return process.pid


async def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.02)


async def test_a_service_gets_the_secrets_that_it_names_and_no_file_holds_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TOKEN", "hush-hush")
    monkeypatch.setenv("RAY_OTHER", "not-asked-for")
    wanted = processes.Service(folder, "kept", SLEEP, kept=True, secrets=("RAY_TOKEN",))
    processes.start(wanted)
    processes.start(replace(watch(folder), secrets=("RAY_TOKEN",)))
    for _ in range(2):
        found = processes.find(folder, "kept")
        assert found is not None
        environment = found.environ()
        assert (environment["RAY_TOKEN"], "RAY_OTHER" in environment) == ("hush-hush", False)
        await kill(folder, "kept")
        await _until(lambda: processes.is_as(wanted))
    assert all(b"hush-hush" not in path.read_bytes() for path in folder.rglob("*") if path.is_file())  # noqa: ASYNC240
    monkeypatch.setenv("RAY_TOKEN", "another")
    assert not processes.is_as(wanted), "it has to be told the new one"


async def test_what_dies_is_started_again_as_it_was_and_again(folder: Path) -> None:
    wanted = service(folder, MODE="as declared")
    processes.start(wanted)
    processes.start(service(folder, "other", kept=False))
    processes.start(watch(folder))
    for _ in range(2):
        died = await kill(folder, "kept")
        await _until(lambda: processes.is_as(wanted))
        found = processes.find(folder, "kept")
        assert found is not None
        assert found.pid != died
        assert found.environ()["MODE"] == "as declared"
        assert found.environ()[processes.MARK] == processes.mark(folder, "kept")
    await kill(folder, "other")
    assert processes.revive(folder, "other") is None, "nobody asked for that"
    record = folder / "kept.pid.json"
    assert record.stat().st_mode & 0o077 == 0


async def test_what_is_stopped_stays_stopped_and_what_is_started_again_is_watched_again(folder: Path) -> None:
    processes.start(service(folder))
    processes.start(watch(folder))
    await processes.stop(folder, "kept", grace_seconds=0)
    assert processes.revive(folder, "kept") is None
    processes.start(service(folder))
    await kill(folder, "kept")
    await _until(lambda: processes.find(folder, "kept") is not None)


async def test_what_is_being_stopped_is_not_revived_in_the_middle_of_it(folder: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    processes.start(processes.Service(folder, "kept", (sys.executable, "-c", stubborn), kept=True))
    await _until(lambda: "up" in processes.log_tail(folder, "kept"))
    stopping = asyncio.create_task(processes.stop(folder, "kept", grace_seconds=10))
    await _until(lambda: bool(json.loads((folder / "kept.pid.json").read_text()).get("stopped")))
    await kill(folder, "kept")
    assert processes.revive(folder, "kept") is None
    await stopping
    assert processes.marked(folder) == []


async def test_after_a_reboot_nothing_is_revived(folder: Path) -> None:
    processes.start(service(folder))
    await kill(folder, "kept")
    record = folder / "kept.pid.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"boot": "another"}))
    assert processes.revive(folder, "kept") is None
    assert keeper.records(str(folder)) == []


async def test_the_keeper_is_small_and_is_itself_watched_over(folder: Path) -> None:
    processes.start(watch(folder))
    watching = asyncio.create_task(watch_over_keeper(folder))
    try:
        await asyncio.sleep(0)
        died = await kill(folder, KEEPER_SERVICE)
        await _until(lambda: processes.is_as(watch(folder)))
        found = processes.find(folder, KEEPER_SERVICE)
        assert found is not None
        assert found.pid != died
        await _until(lambda: found.num_threads() == 1 and found.memory_info().rss > 4 << 20)
        assert found.memory_info().rss < 20 << 20
        await processes.stop(folder, KEEPER_SERVICE, grace_seconds=0)
        await asyncio.sleep(0.5)
        assert processes.find(folder, KEEPER_SERVICE) is None, "a `down` is not fought"
    finally:
        watching.cancel()


def test_what_dies_again_and_again_is_started_ever_more_seldom() -> None:
    patience, now, delays = keeper.Patience(), 1000.0, []
    for _ in range(12):
        delays.append(patience.delay(now))
        now += delays[-1] + 1
    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert delays[-1] == keeper.LONGEST_DELAY
    assert patience.delay(now + keeper.LONGEST_DELAY + keeper.HEALTHY_SECONDS) == 0.25


def test_the_keeper_does_not_watch_itself_nor_trip_over_what_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "x.pid.json").write_text("[]")
    (tmp_path / "y.pid.json").write_text("{")
    own = {"pid": os.getpid(), "kept": True, "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    (tmp_path / "keeper.pid.json").write_text(json.dumps(own))
    assert keeper.records(str(tmp_path)) == []
    assert keeper.records(str(tmp_path / "absent")) == []
