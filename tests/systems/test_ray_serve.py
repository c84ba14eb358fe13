"""Serve's REST API as it answers (recorded from Ray 2.60), and changes that keep what others deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliostat.spec.addresses import RayAddress, TokenFile
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_serve import ServeClient, ServeStatus, declared, parse, request

PROXY = {"ip": "127.0.0.1", "port": 28266, "instance_id": "", "name": "SERVE_PROXY_ACTOR-353423"}
REPLICA = {"ip": "127.0.0.1", "port": 33001, "instance_id": "", "name": "SERVE_REPLICA::flights-blue#model#b7go4drt"}
TRACEBACK = '\x1b[36mray::ServeReplica\x1b[39m\nTraceback (most recent call last):\n  File "a.py"\nValueError: no column'


def group(name: str, *targets: dict[str, Any]) -> dict[str, Any]:
    return {"targets": list(targets), "route_prefix": f"/_/{name}", "protocol": "HTTP", "app_name": name}


def application(name: str, status: str = "RUNNING", message: str = "", replicas: int = 2) -> dict[str, Any]:
    return {
        "name": name,
        "status": status,
        "message": "",
        "deployed_app_config": {"name": name, "import_path": "m:build", "args": {"replicas": replicas}},
        "deployments": {"model": {"message": message, "target_num_replicas": replicas, "replicas": [{"state": "RUNNING"}]}},
    }


def details(*applications: dict[str, Any], groups: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": 28266},
        "grpc_options": {"port": 9000},
        "target_capacity": None,
        "applications": {each["name"]: each for each in applications},
        "target_groups": list(groups),
    }


class FakeServe:
    """A Serve that takes what it is given."""

    def __init__(self, *applications: dict[str, Any]) -> None:
        self.details = details(*applications)
        self.puts: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.status = 200

    def __call__(self, call: httpx.Request) -> httpx.Response:
        self.tokens.append(call.headers.get("authorization"))
        if call.method == "PUT":
            self.puts.append(json.loads(call.content))
            return httpx.Response(self.status, text="no such module" if self.status != 200 else "")
        return httpx.Response(200, json=self.details)


def client(fake: FakeServe, tmp_path: Path) -> ServeClient:
    token = tmp_path / "token"
    token.write_text("secret\n")
    address = RayAddress(url="http://127.0.0.1:8265", credential=TokenFile(path=str(token)))
    return ServeClient(address, 28266, httpx.MockTransport(fake))


def test_replicas_are_told_from_serves_own_proxy() -> None:
    groups = (group("flights-blue", REPLICA), group("flights-green", PROXY))
    found = parse(details(application("flights-blue"), application("flights-green"), groups=groups))
    assert [(r.name, r.port) for r in found.applications["flights-blue"].replicas] == [("b7go4drt", 33001)]
    assert found.applications["flights-green"].replicas == ()


def test_an_application_that_failed_carries_its_own_traceback_without_colours() -> None:
    found = parse(details(application("flights-blue", "DEPLOY_FAILED", TRACEBACK))).applications["flights-blue"]
    assert found.status is ServeStatus.DEPLOY_FAILED
    assert found.error.endswith("ValueError: no column")
    assert "\x1b" not in found.error


def test_a_long_failure_keeps_its_beginning_and_its_end() -> None:
    message = "failed\n" + "\n".join(f"line {number}" for number in range(500))
    error = parse(details(application("a-blue", "DEPLOY_FAILED", message))).applications["a-blue"].error
    assert error.splitlines()[0] == "failed"
    assert error.splitlines()[-1] == "line 499"
    assert len(error.splitlines()) < 50


def test_what_is_being_deleted_is_not_declared_again() -> None:
    assert declared(details(application("a", "DELETING"), application("b"))) == [application("b")["deployed_app_config"]]


@pytest.mark.parametrize(
    ("url", "host"), [("http://127.0.0.1:8265", "127.0.0.1"), ("http://10.0.0.5:8265", "0.0.0.0"), ("https://ray", "0.0.0.0")]
)
async def test_replicas_listen_where_they_are_reached_from_here(url: str, host: str) -> None:
    fake = FakeServe()
    fake.details = {"applications": {}}
    client = ServeClient(RayAddress(url=url), 28266, httpx.MockTransport(fake))
    await client.prepare()
    await client.close()
    assert fake.puts[0]["http_options"] == {"host": host, "port": 28266}


def test_where_replicas_listen_is_told_and_nothing_where_serve_does_not_run() -> None:
    assert parse(details()).host == "127.0.0.1"
    assert parse({"applications": {}}).host == ""


def test_a_serve_that_does_not_run_yet_gets_what_is_wanted() -> None:
    body = request({"applications": {}}, [], {"host": "127.0.0.1", "port": 1234})
    assert body["http_options"] == {"host": "127.0.0.1", "port": 1234}
    assert body["proxy_location"] == "HeadOnly"


async def test_a_deploy_keeps_the_applications_of_others(tmp_path: Path) -> None:
    fake = FakeServe(application("foreign"), application("flights-blue", replicas=1))
    await client(fake, tmp_path).deploy({"name": "flights-blue", "import_path": "new:build"})
    (put,) = fake.puts
    found = {each["name"]: each["import_path"] for each in put["applications"]}
    assert found == {"foreign": "m:build", "flights-blue": "new:build"}
    assert fake.tokens == ["Bearer secret", "Bearer secret"]


async def test_a_deploy_of_what_is_there_changes_nothing(tmp_path: Path) -> None:
    fake = FakeServe(application("flights-blue"))
    await client(fake, tmp_path).deploy(application("flights-blue")["deployed_app_config"])
    assert fake.puts == []


async def test_a_delete_of_what_is_gone_changes_nothing(tmp_path: Path) -> None:
    fake = FakeServe(application("foreign"))
    await client(fake, tmp_path).delete("flights-blue")
    assert fake.puts == []


async def test_a_refused_configuration_is_permanent_and_a_failing_cluster_is_not(tmp_path: Path) -> None:
    fake = FakeServe()
    fake.status = 400
    with pytest.raises(PermanentError, match="no such module"):
        await client(fake, tmp_path).deploy({"name": "a"})
    fake.status = 503
    with pytest.raises(RetryableError, match="503"):
        await client(fake, tmp_path).deploy({"name": "a"})


async def test_a_serve_that_looks_for_its_replicas_is_not_believed_to_have_none(tmp_path: Path) -> None:
    fake = FakeServe(application("flights-blue"))
    assert (await client(fake, tmp_path).read()).applications
    deployment = fake.details["applications"]["flights-blue"]["deployments"]["model"]
    deployment["replicas"] = [{"state": "RUNNING"}, {"state": "RECOVERING"}]
    with pytest.raises(RetryableError, match="looks for its replicas"):
        await client(fake, tmp_path).read()


async def test_a_cluster_that_is_away_is_an_error_that_may_pass() -> None:
    with pytest.raises(RetryableError, match="does not answer"):
        await ServeClient(RayAddress(url="http://127.0.0.1:1"), 28266).read()


async def test_serve_is_started_without_an_application_and_left_alone_where_it_runs(tmp_path: Path) -> None:
    fake = FakeServe()
    fake.details = {**details(), "controller_info": {}, "http_options": None}
    await client(fake, tmp_path).prepare()
    assert [put["applications"] for put in fake.puts] == [[]]
    assert fake.puts[0]["http_options"] == {"host": "127.0.0.1", "port": 28266}
    running = FakeServe(application("flights-blue"))
    running.details["controller_info"] = {"actor_id": "a"}
    await client(running, tmp_path).prepare()
    assert running.puts == []
