"""The local stack from nothing to a prediction, to the next version, through a refusal and a crash, and down again.

The tests run in this order on one stack: each begins where the one before it ended.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pyarrow.parquet as pq
import pytest

from tests.e2e.load import Load
from tests.e2e.stack import LocalStack

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600)]


def is_loopback(address: str) -> bool:
    """Also where IPv6 shows an address of IPv4's, as `::ffff:127.0.0.1`."""
    found = ipaddress.ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("project"))
    log = {"predictionLog": {"rollSeconds": 2}}
    stack.configure(training={"parameters": {"rounds": 40}}, serving={"strategy": {"retentionSeconds": 1}, **log})
    yield stack
    stack.heliostat("destroy", "-s", "local", "--yes", "--skip-preview")
    left = stack.processes()
    for process in left:
        process.kill()
    assert not left, f"processes outlived destroy: {left}"


def test_up_ends_with_a_prediction(stack: LocalStack) -> None:
    done = stack.up()
    assert done.code == 0, done.text
    assert "late_probability" in done.text
    answer = stack.predict()
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-heliostat-version"].startswith("1-")


def test_everything_listens_on_loopback_but_the_port_that_cannot(stack: LocalStack) -> None:
    listening = {
        (connection.laddr.ip, process.name())
        for process in stack.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    elsewhere = {(address, name) for address, name in listening if not is_loopback(address)}
    assert all(name.startswith("ray::ServeRepl") for _, name in elsewhere), elsewhere


def test_a_second_up_changes_nothing(stack: LocalStack) -> None:
    done = stack.heliostat("up", "-s", "local", "--yes", "--skip-preview", "--expect-no-changes")
    assert done.code == 0, done.text
    assert stack.predict().headers["x-heliostat-version"].startswith("1-")


def test_a_changed_parameter_moves_to_the_next_version_without_losing_a_request(stack: LocalStack) -> None:
    stack.configure(training={"parameters": {"num_leaves": 15}})
    question = stack.predict().request.content
    with Load(f"{stack.output('flights')['url']}/predict", json.loads(question)) as load:
        done = stack.up()
    assert done.code == 0, done.text
    assert not load.failures, load.failures
    assert {version.split("-")[0] for version in load.versions} == {"1", "2"}
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_every_answer_of_both_versions_is_in_parquet_in_the_object_store(stack: LocalStack) -> None:
    folder = stack.root / ".heliostat" / "stacks" / "local" / "objects" / "predictions" / "flights"
    deadline = time.monotonic() + 60
    versions: set[str] = set()
    while versions != {"1", "2"} and time.monotonic() < deadline:
        logged = [pq.read_table(path, columns=["version"]) for path in folder.rglob("*.parquet")]
        versions = {str(version).split("-")[0] for table in logged for version in table["version"].to_pylist()}
        time.sleep(0.5)
    assert versions == {"1", "2"}


def test_a_worse_model_is_refused_and_the_old_one_serves(stack: LocalStack) -> None:
    stack.configure(training={"parameters": {"rounds": 1}})
    done = stack.up()
    assert done.code != 0
    assert "roc_auc" in done.text
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_a_refused_model_is_kept_out_with_a_warning_where_the_config_says_so(stack: LocalStack) -> None:
    stack.configure(gate={"onRefusal": "keep"})
    done = stack.up()
    assert done.code == 0, done.text
    assert "warning" in done.text.lower()
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")
    stack.configure(training={"parameters": {"rounds": 40}}, gate={"onRefusal": "fail"})
    assert stack.up().code == 0


def test_after_every_process_was_killed_a_plain_up_brings_all_back(stack: LocalStack) -> None:
    for process in stack.processes():
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(stack.processes(), timeout=30)
    done = stack.up()
    assert done.code == 0, done.text
    assert stack.predict().headers["x-heliostat-version"].startswith("2-"), "nothing is trained again"


def test_destroy_leaves_no_process(stack: LocalStack) -> None:
    done = stack.heliostat("destroy", "-s", "local", "--yes", "--skip-preview")
    assert done.code == 0, done.text
    assert stack.processes() == []


def test_up_after_destroy_finds_what_was_kept_and_trains_nothing(stack: LocalStack) -> None:
    done = stack.up()
    assert done.code == 0, done.text
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")
