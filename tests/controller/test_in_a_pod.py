"""A controller as the program of a pod: settings from a mounted file, probes, and a token of its own for agents."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_cluster import TOKEN, FakeCluster
from pydantic import ValidationError
from traffic_plane import free_port

from heliostat.controller.api import create_app
from heliostat.controller.backends.fleet import FleetRouter
from heliostat.controller.doors import Door
from heliostat.spec.addresses import TokenFile
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import TrafficSnapshot
from heliostat.spec.rollouts import Health
from heliostat.traffic.messages import Acknowledgement, Report

AGENTS = "agents-token"


def settings(directory: Path, **given: Any) -> dict[str, Any]:
    return {
        "inputs": {
            "directory": str(directory),
            "ray": {"url": "http://127.0.0.1:1"},
            "store": {"uri": (directory / "objects").as_uri()},
            "trackingUri": "http://127.0.0.1:1",
            "host": "heliostat.ml.svc",
        },
        "apiPort": 9000,
        "publicPort": 8080,
        "servePort": 8000,
        "trafficPlane": "fleet",
        "listen": "127.0.0.1",
        "tokenFile": str(directory / "mounted-token"),
        **given,
    }


def test_a_fleets_settings_say_where_it_listens_where_it_is_reached_and_where_its_token_is(tmp_path: Path) -> None:
    found = ControllerSettings.model_validate(settings(tmp_path, clientsUrl="https://models.example.com"))
    assert (found.listen, found.address.url) == ("127.0.0.1", "http://heliostat.ml.svc:9000")
    assert found.address.credential == TokenFile(path=str(tmp_path / "mounted-token"))
    assert found.public_url == "https://models.example.com"
    assert ControllerSettings.model_validate(settings(tmp_path)).public_url == "http://heliostat.ml.svc:8080"


def test_what_does_not_go_together_is_told_all_at_once(tmp_path: Path) -> None:
    agents = {"kind": "environment", "variable": "AGENTS"}
    given = settings(tmp_path, trafficPlane="local", clientsUrl="http://example.com", agentsCredential=agents)
    given["inputs"]["credential"] = {"kind": "environment", "variable": "TOKEN"}
    with pytest.raises(ValidationError) as raised:
        ControllerSettings.model_validate(given)
    for text in ("agentsCredential is of a fleet", "clientsUrl is of a fleet", "runtimeDirectory is missing", "leave one out"):
        assert text in str(raised.value)
    given = settings(tmp_path)
    given["inputs"]["keeps"] = ["/data/mlflow"]
    with pytest.raises(ValidationError, match="keeps names services of this machine"):
        ControllerSettings.model_validate(given)


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    found = FakeCluster(tmp_path)
    found.reconciler.traffic = FleetRouter(found.reconciler.store)
    found.app = create_app(found.reconciler, TOKEN, "http://public", agents_door=Door(AGENTS))
    return found


async def test_probes_need_no_token_and_nothing_else_goes_without(cluster: FakeCluster) -> None:
    async with cluster.raw() as raw:
        assert [(await raw.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert [(await raw.get(path)).status_code for path in ("/metrics", "/v1/health", "/v1/traffic/wanted")] == [401] * 3
        cluster.reconciler.looked_at -= 1000
        answer = await raw.get("/healthz")
        assert answer.status_code == 503 and re.search(r"no look for 1\d{3} s", answer.text)


async def test_agents_are_let_in_to_what_they_ask_and_to_nothing_else(cluster: FakeCluster) -> None:
    async with cluster.raw() as raw:
        for token, path, expected in (
            (AGENTS, "/v1/traffic/wanted", 200),
            (TOKEN, "/v1/traffic/wanted", 200),
            ("wrong", "/v1/traffic/wanted", 401),
            (AGENTS, "/v1/applications", 401),
            (AGENTS, "/metrics", 401),
            (AGENTS, "/v1/traffic/../applications", 401),
            (TOKEN, "/v1/applications", 200),
        ):
            answer = await raw.get(path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == expected, (token, path)


async def test_a_members_report_is_answered_with_what_is_wanted_and_who_the_others_are(cluster: FakeCluster) -> None:
    headers = {"Authorization": f"Bearer {AGENTS}", "content-type": "application/json"}
    async with cluster.raw() as raw:

        async def told(name: str, ready: bool = True) -> httpx.Response:
            report = Report(url=f"http://{name}:8081", ready=ready, routes=True, snapshot=TrafficSnapshot({}, {}))
            return await raw.put(f"/v1/traffic/members/{name}", content=report.model_dump_json(), headers=headers)

        await told("one")
        answer = Acknowledgement.model_validate_json((await told("two", ready=False)).content)
        assert answer == Acknowledgement(revision=0, peers=("http://one:8081",))
        assert (await raw.get("/v1/traffic/wanted?revision=0&seconds=0.01", headers=headers)).status_code == 204
        assert (await told("no/name")).status_code == 404
        assert (await told("-one")).status_code == 422
        text = (await raw.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    assert 'heliostat_traffic_members{state="counts"} 2.0' in text
    assert 'heliostat_traffic_members{state="ready"} 1.0' in text


async def test_a_controller_with_one_haproxy_has_no_calls_for_agents(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path).raw() as raw:
        answer = await raw.get("/v1/traffic/wanted", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 404


@pytest.mark.local_stack
async def test_the_program_begins_with_a_mounted_file_and_ends_in_order(tmp_path: Path) -> None:
    port, mounted = free_port(), tmp_path / "mounted.json"
    agents = {"kind": "environment", "variable": "AGENTS_TOKEN"}
    data = tmp_path / "data"
    data.mkdir()
    (data / "mounted-token").write_text(TOKEN)
    mounted.write_text(json.dumps(settings(data, apiPort=port, agentsCredential=agents)))
    argv = (sys.executable, "-P", "-m", "heliostat.controller", "--directory", str(data), "--settings", str(mounted))
    environment = {"PATH": "/usr/bin:/bin", "AGENTS_TOKEN": AGENTS, "PYTHONPATH": ":".join(each for each in sys.path if each)}
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while True:
                try:
                    assert (await client.get("/readyz")).status_code == 200
                    break
                except httpx.TransportError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            wanted = await client.get("/v1/traffic/wanted", headers={"Authorization": f"Bearer {AGENTS}"})
            assert wanted.json() == {"revision": 0, "routes": {}}
            member = await _member(tmp_path, f"http://127.0.0.1:{port}")
            try:
                await _until(client, lambda health: health.haproxy)
            finally:
                member.send_signal(signal.SIGTERM)
                assert await member.wait() == 0
            await _until(client, lambda health: not health.haproxy)
            other = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=PIPE, stderr=PIPE)
            _, complaint = await other.communicate()
            assert (other.returncode, b"another controller runs" in complaint) == (1, True)
            url, of = "/v1/traffic/wanted?revision=0&seconds=30", {"Authorization": f"Bearer {AGENTS}"}
            waiting = asyncio.create_task(client.get(url, headers=of, timeout=40))
            # By the time that this is answered, the one before has arrived.
            await client.get("/v1/health", headers={"Authorization": f"Bearer {TOKEN}"})
            process.send_signal(signal.SIGTERM)
            assert (await waiting).status_code == 204
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _member(directory: Path, controller: str) -> asyncio.subprocess.Process:
    """A member of the traffic plane, with the token that is the agents' own."""
    (directory / "agents-token").write_text(AGENTS)
    of = ("--controller", controller, "--token-file", str(directory / "agents-token"), "--directory", str(directory / "one"))
    here = ("--host", "127.0.0.1", "--public-port", str(free_port()), "--port", str(free_port()))
    argv = (sys.executable, "-P", "-m", "heliostat.traffic", *of, *here, "--settle-seconds", "0", "--drain-seconds", "1")
    return await asyncio.create_subprocess_exec(*argv, stdout=DEVNULL, stderr=DEVNULL)


async def _until(client: httpx.AsyncClient, holds: Callable[[Health], bool]) -> None:
    while True:
        answer = await client.get("/v1/health", headers={"Authorization": f"Bearer {TOKEN}"})
        if holds(Health.model_validate_json(answer.content)):
            return
        await asyncio.sleep(0.05)
