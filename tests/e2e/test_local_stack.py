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
from contextlib import suppress

import httpx
import psutil
import pyarrow.parquet as pq
import pytest

from heliostat.cli.commands.open_ import PAGES
from heliostat.cli.operators.completing import PARTS
from tests import documents
from tests.e2e import readme
from tests.e2e.load import Load
from tests.e2e.stack import Checkout

PARAMETERS = "workloads/flights/parameters.py"
CONTRACT = "workloads/flights/contract.py"

pytestmark = [pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(600)]


def is_loopback(address: str) -> bool:
    """Also where IPv6 shows an address of IPv4's, as `::ffff:127.0.0.1`."""
    found = ipaddress.ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


@pytest.fixture(scope="module")
def stack(checkout: Checkout) -> Checkout:
    # Only what a reader would have to wait for.
    checkout.flights(serving={"strategy": {"retentionSeconds": 1}, "predictionLog": {"rollSeconds": 2}})
    return checkout


def test_up_ends_with_a_prediction(stack: Checkout) -> None:
    done = stack.make_up()
    assert done.code == 0, done.output
    assert "late_probability" in done.output
    answer = stack.predict()
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-heliostat-version"].startswith("1-")


def test_everything_listens_on_loopback_but_the_port_that_cannot(stack: Checkout) -> None:
    listening = {
        (connection.laddr.ip, process.name())
        for process in stack.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    elsewhere = {(address, name) for address, name in listening if not is_loopback(address)}
    assert all(name.startswith("ray::ServeRepl") for _, name in elsewhere), elsewhere


def test_a_second_up_changes_nothing(stack: Checkout) -> None:
    done = stack.tried("up", "-s", "local", "--yes", "--skip-preview", "--expect-no-changes")
    assert done.code == 0, done.output
    assert stack.predict().headers["x-heliostat-version"].startswith("1-")


def test_step_1_asks_something_of_one_s_own(stack: Checkout) -> None:
    (command,) = readme.blocks(readme.step(1))
    asked = re.sub(r"http://[\d.:]+/flights", stack.url("flights"), command)
    answered = subprocess.run(asked, shell=True, capture_output=True, text=True, check=True)
    assert "late_probability" in json.loads(answered.stdout)
    page = httpx.get(f"{stack.url('flights')}/docs")
    assert page.status_code == 200


def test_step_2_changes_a_parameter_and_the_preview_tells_what_will_happen(stack: Checkout) -> None:
    ((name, value),) = readme.edits(readme.step(2))
    readme.edit(stack.root, PARAMETERS, name, value)
    preview = stack.tried("preview", "--diff")
    assert preview.code == 0, preview.output
    assert re.search(rf"TrainJob flights: \(update\)[\s\S]*{name}: [^\n]*{value}", preview.output), preview.output


def test_an_update_that_detaches_leaves_the_training_and_the_next_one_takes_its_end(stack: Checkout) -> None:
    stack.environment["HELIOSTAT_DETACH_SECONDS"] = "0"
    left = stack.tried("up", "--yes", "--skip-preview", "--detach")
    del stack.environment["HELIOSTAT_DETACH_SECONDS"]
    assert left.code == 75, left.output
    assert re.search(r"the training of flights goes on as Ray job train-flights-\w+-1", left.output), left.output
    assert "What needs it is not done, and nothing is deleted yet." in left.output
    assert stack.predict().headers["x-heliostat-version"].startswith("1-")
    assert "Last operation: update goes-on" in stack.heliostat("stack").output


def test_step_3_moves_to_the_next_version_without_losing_a_request(stack: Checkout) -> None:
    question = stack.predict().request.content
    with Load(f"{stack.url('flights')}/predict", json.loads(question)) as load:
        done = stack.make_up()
    assert done.code == 0, done.output
    assert not load.failures, load.failures
    assert {version.split("-")[0] for version in load.versions} == {"1", "2"}
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_every_answer_of_both_versions_is_in_parquet_in_the_object_store(stack: Checkout) -> None:
    folder = stack.root / ".heliostat" / "stacks" / "local" / "objects" / "predictions" / "flights"
    deadline = time.monotonic() + 60
    versions: set[str] = set()
    while versions != {"1", "2"} and time.monotonic() < deadline:
        logged = [pq.read_table(path, columns=["version"]) for path in folder.rglob("*.parquet")]
        versions = {str(version).split("-")[0] for table in logged for version in table["version"].to_pylist()}
        time.sleep(0.5)
    assert versions == {"1", "2"}


def test_step_4_is_refused_and_the_old_version_serves(stack: Checkout) -> None:
    worse, _ = readme.edits(readme.step(4))
    readme.edit(stack.root, PARAMETERS, *worse)
    done = stack.make_up()
    assert done.code != 0
    assert "roc_auc" in done.output
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_step_4_is_a_warning_where_the_config_says_so_and_put_back_changes_nothing(stack: Checkout) -> None:
    stack.flights(gate={"onRefusal": "keep"})
    done = stack.make_up()
    assert done.code == 0, done.output
    assert "warning" in done.output.lower()
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")
    _, back = readme.edits(readme.step(4))
    readme.edit(stack.root, PARAMETERS, *back)
    stack.flights(gate={"onRefusal": "fail"})
    assert stack.make_up().code == 0
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")


def test_step_5_leaves_where_the_canary_waits_and_each_command_does_what_it_says(stack: Checkout) -> None:
    text, before = readme.step(5), stack.predict().headers["x-heliostat-version"]
    stack.flights(serving={"strategy": None})
    stack.flights(serving=readme.settings(text))
    preview = stack.tried("preview")
    assert "canary" in preview.output and "10 %" in preview.output, preview.output
    done = stack.make_up()
    assert done.code == 0, done.output
    assert "waits" in done.output or "approve" in done.output, done.output
    named = {tuple(command[:2]): command for command in readme.commands(text)}
    for words in (("rollout", "approve"), ("rollout", "watch"), ("rollout", "report"), ("history", "flights")):
        ended = stack.tried(*named.pop(words))
        assert ended.code == 0, ended.output
    assert not named, "every command that it names was tried"
    assert (stack.root / "report.html").read_text().count("<svg")
    after = stack.predict().headers["x-heliostat-version"]
    assert after.startswith("2-") and after != before


def test_step_5_rolls_something_bad_back_and_does_not_try_it_again(stack: Checkout) -> None:
    before = stack.predict().headers["x-heliostat-version"]
    bad, back = [(name, value) for name, value in readme.edits(readme.step(5)) if name == "LATE_FROM"]
    readme.edit(stack.root, CONTRACT, *bad)
    refused, again = stack.make_up(), stack.make_up()
    assert refused.code != 0 and "disagree" in refused.output, refused.output
    assert again.code != 0 and "--retry-refused" in again.output, again.output
    assert stack.predict().headers["x-heliostat-version"] == before
    readme.edit(stack.root, CONTRACT, *back)
    assert stack.make_up().code == 0
    assert stack.predict().headers["x-heliostat-version"] == before


def test_step_6_shows_what_replicas_print(stack: Checkout) -> None:
    shown = stack.tried("logs", "flights")
    assert shown.code == 0, shown.output
    assert shown.output.count("==>") == 2, "one heading a replica"


def test_the_commands_of_operating_md_work_on_what_runs(stack: Checkout) -> None:
    for words in documents.commands("operating.md"):
        done = stack.tried(*words)
        assert done.code == 0, f"{words}: {done.output}"
    pages = [page for page in PAGES if page != "ray"]  # it waits until its address is opened
    for words in (*(["logs", part] for part in PARTS), *(["open", page, "--print"] for page in pages)):
        done = stack.tried(*words)
        assert done.code == 0 and done.output, f"{words}: {done.output}"
    assert "logs this browser in" in stack.tried("open", "ray", "--print", "--seconds", "1").output


def test_step_7_after_every_process_was_killed_a_plain_up_brings_all_back(stack: Checkout) -> None:
    for process in stack.processes():
        with suppress(ProcessLookupError):  # it may end with one that was killed before
            os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(stack.processes(), timeout=30)
    done = stack.make_up()
    assert done.code == 0, done.output
    assert stack.predict().headers["x-heliostat-version"].startswith("2-"), "nothing is trained again"


def test_destroy_leaves_no_process(stack: Checkout) -> None:
    done = stack.tried("destroy", "-s", "local", "--yes", "--skip-preview")
    assert done.code == 0, done.output
    assert stack.processes() == []


def test_up_after_destroy_finds_what_was_kept_and_trains_nothing(stack: Checkout) -> None:
    done = stack.make_up()
    assert done.code == 0, done.output
    assert stack.predict().headers["x-heliostat-version"].startswith("2-")
