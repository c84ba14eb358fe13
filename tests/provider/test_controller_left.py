"""A controller that is destroyed: what the ledger was not told yet is told first, or stays where it is."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.controller.ledger import newest_first
from heliostat.controller.store import FILE, Store
from heliostat.provider.controller import ControllerHandler
from heliostat.provider.resource import Context
from heliostat.spec.addresses import ControllerAddress, RayAddress, StoreAddress, TokenFile
from heliostat.spec.controller import SERVICE, SETTINGS_FILE, TRAFFIC_SERVICE, ControllerSettings
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.platform_resources import ControllerInputs, ControllerOutputs
from heliostat.spec.rollouts import Desired, Phase, Version
from heliostat.spec.strategies import Rolling
from heliostat.spec.workload import Limits, PredictionLog
from heliostat.systems import proc, processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory

HANDLER = ControllerHandler()
CONTEXT = Context("urn", lambda text: None, lambda text: None, lambda text: None, asyncio.Event())


class Left:
    """What a controller leaves in its folder."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "controller"
        self.directory.mkdir()
        self.objects = root / "objects"
        self.inputs = ControllerInputs(
            directory=str(self.directory),
            ray=RayAddress(url="http://127.0.0.1:1"),
            store=StoreAddress(uri=f"file://{self.objects}"),
            tracking_uri="http://127.0.0.1:1",
        )

    def settle(self) -> None:
        settings = ControllerSettings(
            inputs=self.inputs, api_port=20001, public_port=20002, serve_port=20003, runtime_directory=str(self.directory)
        )
        (self.directory / SETTINGS_FILE).write_text(settings.model_dump_json())

    def post(self, *identities: str) -> None:
        store = Store(self.directory)
        store.forget("flights", tuple(entry(each) for each in identities))
        store.close()

    async def delete(self) -> None:
        address = ControllerAddress(url="http://127.0.0.1:1", credential=TokenFile(path="/token"))
        values = {name: getattr(self.inputs, name) for name in ControllerInputs.model_fields}
        outputs = ControllerOutputs(**values, address=address, public_url="http://127.0.0.1:1")
        await HANDLER.delete(CONTEXT, str(self.directory), outputs)

    def told(self) -> list[str]:
        return [each.id for each in reversed(list(newest_first(Directory(self.objects), "flights")))]


def entry(identity: str) -> Entry:
    version = Version(
        digest="0" * 64,
        label="1-x",
        code_uri="file:///code.zip",
        contract="a:b",
        model_uri="models:/flights/1",
        tracking_uri="http://mlflow",
        store=StoreAddress(uri="file:///objects"),
        prediction_log=PredictionLog(),
        limits=Limits(),
    )
    desired = Desired(
        version=version, replicas=1, cpus_per_replica=1, max_ongoing_requests=1, startup_timeout_seconds=1, strategy=Rolling()
    )
    return Entry(
        number=0, id=identity, application="flights", at=1.0, kind=EntryKind.REMOVED, rollout=1, phase=Phase.SUCCEEDED,
        strategy=Rolling(), previous=None, target=desired, weights={},
    )  # fmt: skip


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Left]:
    # Unlike the data folder, the runtime folder has to be short: sockets are in it.
    with tempfile.TemporaryDirectory(prefix="hs-", dir="/tmp") as runtime:
        monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", runtime)
        yield Left(tmp_path)


async def test_what_a_killed_controller_left_is_told_before_its_folder_goes(left: Left) -> None:
    left.settle()
    left.post("a", "b")
    await left.delete()
    assert left.told() == ["a", "b"]
    assert not left.directory.exists()


async def test_what_cannot_be_told_stops_the_destroy_with_the_count_the_reason_and_the_way_out(left: Left) -> None:
    left.settle()
    left.post("a", "b")
    left.objects.write_text("no folder")
    database = left.directory / FILE
    with pytest.raises(RetryableError, match=r"2 entries are not in the ledger yet: .*objects.*Nothing was removed") as error:
        await left.delete()
    assert f"remove {database} first" in str(error.value)
    assert database.exists()
    # Who does not want them any more says so.
    database.unlink()
    await left.delete()
    assert not left.directory.exists()


async def test_a_controller_that_told_everything_needs_no_store_to_go(left: Left) -> None:
    left.settle()
    left.post()
    left.objects.write_text("no folder")
    await left.delete()
    assert not left.directory.exists()


async def test_a_folder_in_which_no_controller_ever_ran_goes(left: Left) -> None:
    await left.delete()
    left.settle()
    await left.delete()
    assert not left.directory.exists()
    await left.delete()


async def test_a_damaged_database_stops_the_destroy_and_says_what_to_do(left: Left) -> None:
    left.settle()
    (left.directory / FILE).write_bytes(b"no database" * 500)
    with pytest.raises(PermanentError, match=r"cannot be used: .* move it away"):
        await left.delete()
    assert left.directory.exists()


def test_asking_what_is_left_makes_nothing(left: Left) -> None:
    left.settle()
    argv = (sys.executable, "-m", "heliostat.controller", "--directory", str(left.directory), "--flush", "1")
    done = subprocess.run(argv, check=True, capture_output=True, timeout=60)
    assert json.loads(done.stdout) == {"waiting": 0, "error": "", "file": ""}
    assert not (left.directory / FILE).exists()


@pytest.fixture
def live(left: Left) -> Iterator[Left]:
    yield left
    for process in processes.marked(left.directory):
        process.kill()


@pytest.mark.local_stack
@pytest.mark.timeout(300)
async def test_a_controller_that_runs_tells_the_ledger_at_its_end_and_runs_on_where_that_cannot_be(live: Left) -> None:
    await HANDLER.create(CONTEXT, live.inputs)
    # As if it came in the last moment: nobody wakes the ledger.
    live.post("a")
    process = processes.find(live.directory, SERVICE)
    assert process is not None
    process.send_signal(signal.SIGTERM)
    assert await proc.exited(process, 10)
    assert live.told() == ["a"]

    await HANDLER.create(CONTEXT, live.inputs)
    live.post("b")
    away = live.objects.rename(live.objects.with_name("away"))
    live.objects.write_text("no folder")
    with pytest.raises(RetryableError, match="1 entry is not in the ledger yet"):
        await live.delete()
    assert processes.find(live.directory, SERVICE), "it goes on trying"
    assert processes.find(live.directory, TRAFFIC_SERVICE)

    live.objects.unlink()
    away.rename(live.objects)
    await live.delete()
    assert live.told() == ["a", "b"]
    assert not live.directory.exists()
    assert processes.marked(live.directory) == []
