"""The README's way, step by step as it is written: from nothing to a prediction, to the next version, through a refusal, a
canary and a crash, and down again.

The tests run in this order on one stack: each begins where the one before it ended.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pyarrow.parquet as pq
import pytest

from tests.e2e import readme
from tests.e2e.load import Load
from tests.e2e.stack import LocalStack

PARAMETERS = "workloads/flights/parameters.py"
CONTRACT = "workloads/flights/contract.py"

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600)]


def is_loopback(address: str) -> bool:
    """Also where IPv6 shows an address of IPv4's, as `::ffff:127.0.0.1`."""
    found = ipaddress.ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("project"))
    # Only what a reader would have to wait for.
    stack.configure(serving={"strategy": {"retentionSeconds": 1}, "predictionLog": {"rollSeconds": 2}})
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


def test_step_1_asks_something_of_one_s_own(stack: LocalStack) -> None:
    (command,) = readme.blocks(readme.step(1))
    asked = re.sub(r"http://[\d.:]+/flights", stack.output("flights")["url"], command)
    answered = subprocess.run(asked, shell=True, capture_output=True, text=True, check=True)
    assert "late_probability" in json.loads(answered.stdout)
    page = httpx.get(f"{stack.output('flights')['url']}/docs")
    assert page.status_code == 200


def test_step_2_changes_a_parameter_and_the_preview_tells_what_will_happen(stack: LocalStack) -> None:
    ((name, value),) = readme.edits(readme.step(2))
    readme.edit(stack.root, PARAMETERS, name, value)
    preview = stack.heliostat("preview", "--diff")
    assert preview.code == 0, preview.text
    assert re.search(rf"TrainJob flights: \(update\)[\s\S]*{name}: [^\n]*{value}", preview.text), preview.text


def test_step_3_moves_to_the_next_version_without_losing_a_request(stack: LocalStack) -> None:
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


def test_step_4_is_refused_and_the_old_version_serves(stack: LocalStack) -> None:
    worse, _ = readme.edits(readme.step(4))
    readme.edit(stack.root, PARAMETERS, *worse)
    done = stack.up()
    assert done.code != 0
    assert "roc_auc" in done.text
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_step_4_is_a_warning_where_the_config_says_so_and_put_back_changes_nothing(stack: LocalStack) -> None:
    stack.configure(gate={"onRefusal": "keep"})
    done = stack.up()
    assert done.code == 0, done.text
    assert "warning" in done.text.lower()
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")
    _, back = readme.edits(readme.step(4))
    readme.edit(stack.root, PARAMETERS, *back)
    stack.configure(gate={"onRefusal": "fail"})
    assert stack.up().code == 0
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_step_5_leaves_where_the_canary_waits_and_each_command_does_what_it_says(stack: LocalStack) -> None:
    text, before = readme.step(5), stack.predict().headers["x-heliostat-version"]
    stack.configure(serving={"strategy": None})
    stack.configure(serving=readme.settings(text))
    preview = stack.heliostat("preview")
    assert "canary" in preview.text and "10 %" in preview.text, preview.text
    done = stack.up()
    assert done.code == 0, done.text
    assert "waits" in done.text or "approve" in done.text, done.text
    named = {tuple(command[:2]): command for command in readme.commands(text)}
    for words in (("rollout", "approve"), ("rollout", "watch"), ("rollout", "report"), ("history", "flights")):
        ended = stack.heliostat(*named.pop(words))
        assert ended.code == 0, ended.text
    assert not named, "every command that it names was tried"
    assert (stack.root / "report.html").read_text().count("<svg")
    after = stack.predict().headers["x-heliostat-version"]
    assert after.startswith("2-") and after != before


def test_step_5_rolls_something_bad_back_and_does_not_try_it_again(stack: LocalStack) -> None:
    before = stack.predict().headers["x-heliostat-version"]
    bad, back = [(name, value) for name, value in readme.edits(readme.step(5)) if name == "LATE_FROM"]
    readme.edit(stack.root, CONTRACT, *bad)
    refused, again = stack.up(), stack.up()
    assert refused.code != 0 and "disagree" in refused.text, refused.text
    assert again.code != 0 and "--retry-refused" in again.text, again.text
    assert stack.predict().headers["x-heliostat-version"] == before
    readme.edit(stack.root, CONTRACT, *back)
    assert stack.up().code == 0
    assert stack.predict().headers["x-heliostat-version"] == before


def test_step_6_shows_what_replicas_print(stack: LocalStack) -> None:
    shown = stack.heliostat("logs", "flights")
    assert shown.code == 0, shown.text
    assert shown.text.count("==>") == 2, "one heading a replica"


def test_step_7_after_every_process_was_killed_a_plain_up_brings_all_back(stack: LocalStack) -> None:
    for process in stack.processes():
        with suppress(ProcessLookupError):  # it may end with one that was killed before
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
