"""The platform's resources as real processes of this machine."""

# ruff: noqa: ASYNC240 - a test may read a file
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from plugin_process import plugin_process

from heliostat.systems import ports, proc, processes

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600)]


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A data folder as deep as they come; no process of it is left behind, whatever happens in a test."""
    # Unlike the data folder, the runtime folder has to be short: sockets are in it.
    with tempfile.TemporaryDirectory(prefix="hs-", dir="/tmp") as runtime:
        monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", runtime)
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hush-hush")
        folder = tmp_path.joinpath(*["deep" * 10] * 4)
        yield folder
        for process in _all(folder):
            process.kill()


def _all(base: Path) -> list[psutil.Process]:
    return [process for part in ("ray", "mlflow") for process in processes.marked(base / part)]


def ray(base: Path, workers: int = 1, **more):
    return {"directory": f"{base}/ray", "head": {"cpus": 1}, "workers": {"count": workers, "cpus": 1}, **more}


def mlflow(base: Path, **more):
    return {"directory": f"{base}/mlflow", "artifacts": {"uri": f"file://{base}/objects"}, "onDestroy": "delete", **more}


def _root(base: Path, part: str, name: str) -> psutil.Process:
    found = processes.find(base / part, name)
    assert found, f"{name} does not run"
    return found


async def _started(base: Path, part: str, name: str, creating: asyncio.Task) -> None:
    while not processes.find(base / part, name):
        if creating.done():
            await creating
        await asyncio.sleep(0.02)


async def _kill(process: psutil.Process) -> None:
    process.kill()
    assert await proc.exited(process, 10)


def _listening(pids: set[int]) -> list[tuple[str, int]]:
    found = psutil.net_connections(kind="tcp")
    return [(c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN and c.pid in pids and c.laddr]


async def test_a_cluster_comes_up_survives_kills_and_leaves_nothing(base):
    async with plugin_process() as plugin:
        # The plugin is killed in the middle of the create: the head that it started is taken over by the next one.
        first = asyncio.create_task(plugin.up("RayCluster", ray(base)))
        await _started(base, "ray", "head", first)
        assert plugin.process
        plugin.process.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await first
    head = _root(base, "ray", "head")
    async with plugin_process() as plugin:
        made = await plugin.up("RayCluster", ray(base))
        assert _root(base, "ray", "head").pid == head.pid
        url, token = made["address"]["url"], Path(made["address"]["credential"]["path"])
        assert token.stat().st_mode & 0o777 == 0o600
        await _refuses_strangers(url, token)
        _only_on_loopback(base)

        before = len(_all(base))
        assert await plugin.up("RayCluster", ray(base)) == made, "nothing changed"
        assert len(_all(base)) == before

        await _kill(_root(base, "ray", "worker-1"))
        drifted = await plugin.refresh("RayCluster")
        assert drifted
        assert drifted[0]["workers"]["count"] == 0
        await plugin.up("RayCluster", ray(base))
        assert _root(base, "ray", "worker-1")
        assert _root(base, "ray", "head").pid == head.pid, "a worker comes and goes without the head"
        await plugin.up("RayCluster", ray(base, workers=0))
        assert processes.marked(base / "ray", "worker-1") == []

        await _kill(head)
        assert await plugin.refresh("RayCluster") is None
        buckets = {
            "s3Endpoint": "http://127.0.0.1:1",
            "s3Region": "eu-central-1",
            "googleStorageEndpoint": "http://127.0.0.1:2",
        }
        elsewhere = ray(base, workers=0, **buckets)
        anew = await plugin.up("RayCluster", elsewhere)
        assert anew["address"]["url"] == url, "on the same ports"
        assert anew["session"] != made["session"] != "", "what ran on the old head is known to be gone"
        told = Path(f"/proc/{_root(base, 'ray', 'head').pid}/environ").read_bytes().split(b"\0")
        assert {b"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", b"AWS_DEFAULT_REGION=eu-central-1"} <= set(told)
        assert b"STORAGE_EMULATOR_HOST=http://127.0.0.1:2" in told
        await plugin.destroy("RayCluster")
        assert _all(base) == []
        assert not (base / "ray").exists()
        assert not list(Path(os.environ["HELIOSTAT_RUNTIME_DIR"]).glob("*/*"))


async def _refuses_strangers(url: str, token: Path) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/api/jobs/")).status_code == httpx.codes.UNAUTHORIZED
        headers = {"Authorization": f"Bearer {token.read_text()}"}
        assert (await client.get("/api/jobs/", headers=headers)).status_code == httpx.codes.OK


def _only_on_loopback(base: Path) -> None:
    own = processes.marked(base / "ray")
    listening = _listening({process.pid for process in own})
    assert len(listening) > 10
    assert {ip.removeprefix("::ffff:") for ip, _ in listening} == {"127.0.0.1"}
    environments = b"".join(Path(f"/proc/{process.pid}/environ").read_bytes() for process in own if process.is_running())
    assert b"hush" not in environments


async def test_a_tracking_server_keeps_its_runs_over_kills_and_loses_them_only_when_told(base):
    async with plugin_process() as plugin:
        await plugin.up("ObjectStore", {"uri": f"file://{base}/objects", "onDestroy": "delete"})
        url = (await plugin.up("TrackingServer", mlflow(base)))["trackingUri"]
        assert any("waiting for MLflow" in message.message for message in plugin.log.messages)
        _log_a_run(url, base)
        assert list((base / "objects" / "mlflow").rglob("note.txt")), "artifacts go to the object store"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            foreign = await client.get("/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "evil.example"})
            assert foreign.status_code == httpx.codes.FORBIDDEN

            await _kill(_root(base, "mlflow", "mlflow"))
            assert await plugin.refresh("TrackingServer") is None
            assert (await plugin.up("TrackingServer", mlflow(base)))["trackingUri"] == url
            found = await client.post("/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]})
            assert len(found.json()["runs"]) == 1
        await plugin.destroy("TrackingServer")
        assert _all(base) == []
        assert not (base / "mlflow").exists()
        assert not list((base / "objects").rglob("note.txt"))


def _log_a_run(url: str, base: Path) -> None:
    code = "import mlflow\nwith mlflow.start_run(): mlflow.log_text('hello', 'note.txt')"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": url}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=base, timeout=120, capture_output=True)


async def test_a_port_that_another_program_holds_is_a_clear_error(base):
    async with plugin_process() as plugin:
        await plugin.up("ObjectStore", {"uri": f"file://{base}/objects"})
        port = ports.claim(base, "taken")
        listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
        async with listener:
            with pytest.raises(grpc.aio.AioRpcError, match=rf"port {port}, .* in use by .*process {os.getpid()}"):
                await plugin.up("TrackingServer", mlflow(base, port=port))
        assert _all(base) == []


async def test_a_damaged_database_is_a_clear_error_and_starts_nothing(base):
    (base / "mlflow").mkdir(parents=True)
    (base / "mlflow" / "mlflow.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    async with plugin_process() as plugin:
        with pytest.raises(grpc.aio.AioRpcError, match=r"mlflow.db cannot be read .*restore it from a backup"):
            await plugin.up("TrackingServer", mlflow(base))
    assert _all(base) == []


async def test_a_server_that_dies_while_it_starts_shows_the_end_of_its_log(base):
    async with plugin_process() as plugin:
        starting = asyncio.create_task(plugin.up("TrackingServer", mlflow(base)))
        await _started(base, "mlflow", "mlflow", starting)
        (base / "mlflow" / "mlflow.log").write_text("the last thing I saw\n")
        os.kill(_root(base, "mlflow", "mlflow").pid, signal.SIGKILL)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await starting
        assert re.search(r"MLflow ended while it started; its log ends with:\n.*the last thing I saw", failed.value.details())
    assert _all(base) == []
