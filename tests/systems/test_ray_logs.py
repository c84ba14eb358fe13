"""The logs of replicas, from Ray's dashboard as it answers."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from heliostat.spec.addresses import RayAddress, TokenFile
from heliostat.systems.errors import RetryableError
from heliostat.systems.ray_logs import LogFile, RayLogs, replica_of, without_marks

RUNS, ENDED = "serve/replica_flights-blue_model_a1.log", "serve/replica_flights-green_model_b2.log"
FOREIGN = "serve/replica_flights-late-blue_model_c3.log"
SERVE = {
    "applications": {
        "flights-blue": {"deployments": {"model": {"replicas": [{"node_id": "n2", "log_file_path": f"/{RUNS}"}]}}}
    }
}
NODES = [{"node_id": "n1", "state": "ALIVE"}, {"node_id": "n2", "state": "ALIVE"}, {"node_id": "n3", "state": "DEAD"}]


def _answer(call: httpx.Request) -> httpx.Response:
    assert call.headers["authorization"] == "Bearer secret"
    if call.url.path == "/api/serve/applications/":
        return httpx.Response(200, json=SERVE)
    if call.url.path == "/api/v0/nodes":
        return httpx.Response(200, json={"data": {"result": {"result": NODES}}})
    if call.url.path == "/api/v0/logs":
        assert call.url.params["glob"] == "serve/replica_flights-*.log"
        return httpx.Response(200, json={"data": {"result": {"internal": [ENDED, RUNS, FOREIGN]}}})
    if call.url.path == "/api/v0/logs/file":
        return httpx.Response(200, content=f"{call.url.params['node_id']} {call.url.params['lines']}\n".encode())
    return httpx.Response(200, content=b"one\ntw" + b"o\n")


def logs(tmp_path: Path, url: str = "http://ray", **more: object) -> RayLogs:
    (tmp_path / "token").write_text("secret\n")
    return RayLogs(RayAddress(url=url, credential=TokenFile(path=str(tmp_path / "token"))), **more)  # type: ignore[arg-type]


async def test_an_application_s_logs_are_found_once_each_those_of_running_replicas_last(tmp_path: Path) -> None:
    async with logs(tmp_path, transport=httpx.MockTransport(_answer)) as found:
        files = await found.files("flights")
        assert files == [
            LogFile("flights-green_model_b2", "n1", ENDED, runs=False),
            LogFile("flights-blue_model_a1", "n2", RUNS, runs=True),
        ]
        assert await found.tail(files[1], 7) == "n2 7\n"
        assert [line async for line in found.follow(files[1], 7)] == ["one", "two"]


async def test_a_cluster_that_is_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    async with logs(tmp_path, url="http://127.0.0.1:1") as found:
        with pytest.raises(RetryableError, match="gives no logs"):
            await found.files("flights")


def test_an_application_whose_name_begins_alike_is_another_one() -> None:
    assert replica_of(RUNS, "flights") == "flights-blue_model_a1"
    assert replica_of(FOREIGN, "flights") is None
    assert replica_of(FOREIGN, "flights-late") == "flights-late-blue_model_c3"


def test_ray_s_mark_before_a_log_is_no_part_of_it() -> None:
    assert without_marks(b"1INFO a line\n") == "INFO a line\n"
    assert without_marks(b"INFO printed\n\nINFO a line\n") == "INFO printed\nINFO a line\n"
