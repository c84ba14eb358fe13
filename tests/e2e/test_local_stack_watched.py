"""A monitor and an ingestion on a real stack, as a new user brings them up: what is told, what is lost, what stops what.

The tests run in this order on one stack: each begins where the one before it ended.
"""

from __future__ import annotations

import datetime as dt
import http.server
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow.parquet as pq
import pytest

from bench import payloads
from heliostat.ml.ground_truth import Label, record
from heliostat.spec.addresses import StoreAddress
from tests.e2e import watched_tides as tides
from tests.e2e.stack import Checkout

pytestmark = [pytest.mark.long, pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(1800)]

ROWS = 300
WRONG = {"drift/carrier", "drift/distance_miles", "quality/roc_auc"}
EACH_MINUTE, NEVER = "* * * * *", "0 0 1 1 *"
MONITOR: dict[str, Any] = {
    "field": "late_probability",
    "windows": {"kind": "count", "rows": ROWS},
    "schedule": EACH_MINUTE,
    "quality": [{"metric": "roc_auc", "margin": 0.1, "minRows": 200}],
    "drift": {},
    "recency": {"predictionsSeconds": 7200},
}


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what a webhook posts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiving)
        self.got: list[tuple[str, str, str]] = []
        """Event, key of the alarm, id."""

    def told(self, event: str) -> Counter[str]:
        """How often of each alarm, without its application."""
        return Counter(_own(key) for found, key, _ in self.got if found == event)


class Receiving(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.got.append((body["event"], body["alarm"]["key"], self.headers["idempotency-key"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def stack(checkout: Checkout, receiver: Receiver) -> Iterator[Checkout]:
    """With a monitor and another workload; afterwards it is as the tests before left it."""
    tides.write(checkout.root)
    sinks = [{"kind": "webhook", "name": "oncall", "url": f"http://127.0.0.1:{receiver.server_address[1]}"}]
    checkout.flights(monitor={**MONITOR, "sinks": sinks}, serving={"predictionLog": {"rollSeconds": 1}})
    serving = {"replicas": 1, "cpusPerReplica": 0.1}
    declared = {"serving": serving, "training": {"scaling": {"workers": 1}}, "data": {"until": "2020-01-09T00:00:00Z"}}
    checkout.configure({"workloads": {tides.NAME: declared}})
    checkout.up()
    yield checkout
    checkout.configure({"workloads": {tides.NAME: None}})
    checkout.flights(monitor=None, serving={"predictionLog": None})
    checkout.up()


def _own(key: str) -> str:
    return key.removeprefix("flights/")


def until(condition: Callable[[], Any], what: str, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.5)


def opened(stack: Checkout) -> set[str]:
    [found] = json.loads(stack.heliostat("monitor", "list", "--json", "-s", "local").output)
    return {_own(key) for key in found["openAlarms"]}


def ask(stack: Checkout, rows: Sequence[dict[str, Any]], turned: bool = False) -> None:
    """Ask about rows one by one, wait until they are stored, and tell labels that are as the answers are, or the other way."""
    address = StoreAddress.model_validate(stack.outputs()["platform"]["store"])
    log = Path(address.uri.removeprefix("file://"), "predictions", "flights")

    def stored() -> int:
        return sum(pq.read_metadata(path).num_rows for path in log.rglob("*.parquet"))

    labels, before, url = [], stored(), f"{stack.url('flights')}/predict"
    with httpx.Client(timeout=30) as client:
        for row in rows:
            answer = client.post(url, json=row).raise_for_status()
            is_late = (answer.json()["late_probability"] > 0.2) != turned
            labels.append(Label(answer.headers["x-request-id"], float(is_late)))
    until(lambda: stored() >= before + len(rows), "the log is stored")
    record(address, "flights", labels)


def usual() -> Sequence[dict[str, Any]]:
    """Rows enough that the newest whole window has no others."""
    return payloads.flights()[:: len(payloads.flights()) // (2 * ROWS)][: 2 * ROWS]


def moved() -> list[dict[str, Any]]:
    return [{**row, "carrier": "HA", "distance_miles": 2 * row["distance_miles"]} for row in usual()]


def test_what_came_up_a_moment_ago_and_was_never_asked_alarms_nobody(stack: Checkout, receiver: Receiver) -> None:
    assert "recency/predictions" not in opened(stack)
    assert "flights" in stack.heliostat("status", "-s", "local").output.partition("MONITOR")[2]
    assert not receiver.got


def test_a_scheduled_look_tells_what_moved_and_what_late_labels_say_each_once(stack: Checkout, receiver: Receiver) -> None:
    ask(stack, usual())
    ask(stack, moved(), turned=True)
    until(lambda: opened(stack) >= WRONG, "the look by schedule")
    until(lambda: {*receiver.told("firing")} >= WRONG, "the webhook is told")
    stack.heliostat("monitor", "run", "flights", "-s", "local")
    assert all(receiver.told("firing")[key] == 1 for key in WRONG), "what was told is not told again by another look"
    shown = stack.heliostat("monitor", "show", "-s", "local").output
    assert "carrier has drifted" in shown and "worse than the reference's" in shown
    assert "roc_auc" in stack.heliostat("status", "-s", "local").output.partition("MONITOR")[2]
    told = stack.heliostat("report", "flights", "-o", "-", "-s", "local").output
    assert "drift carrier" in told and "<svg" in told


def test_alarms_are_in_the_controller_s_metrics(stack: Checkout) -> None:
    controller = stack.outputs()["platform"]["controller"]
    token = Path(controller["credential"]["path"]).read_text().strip()

    def metrics() -> str:
        answer = httpx.get(f"{controller['url']}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        return answer.raise_for_status().text

    alarms = 'heliostat_monitor_alarms{application="flights",severity="warning"}'
    until(lambda: f"{alarms} {len(opened(stack))}.0" in metrics(), "the metrics have the open alarms", 60)
    assert 'heliostat_monitor_value{application="flights",aspect="quality",subject="roc_auc"}' in metrics()


def test_alarms_are_acknowledged_and_silenced_by_command(stack: Checkout) -> None:
    assert stack.tried("monitor", "alarms", "-s", "local").code == 1
    stack.heliostat("monitor", "acknowledge", "flights", "quality/roc_auc", "-s", "local")
    stack.heliostat("monitor", "silence", "flights", "drift/*", "--for", "2h", "--why", "a new timetable", "-s", "local")
    told = stack.tried("monitor", "alarms", "-s", "local").output
    assert "looks after it" in told and "silenced" in told and "a new timetable" in told
    stack.heliostat("monitor", "unsilence", "flights", "drift/*", "-s", "local")
    assert "a new timetable" not in stack.tried("monitor", "alarms", "-s", "local").output


def test_up_tells_what_is_open_and_changes_nothing(stack: Checkout) -> None:
    told = stack.up("--expect-no-changes").output
    assert "alarms are open" in told and "heliostat monitor alarms flights" in told


def test_a_look_that_is_killed_loses_nothing_and_nothing_is_told_twice(stack: Checkout, receiver: Receiver) -> None:
    stack.flights(monitor={"schedule": NEVER})
    stack.up()
    ask(stack, usual())
    command = [str(Path(sys.executable).with_name("heliostat")), "monitor", "run", "flights", "-s", "local"]
    asked = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": stack.root, "env": stack.environment}
    with subprocess.Popen(command, text=True, **asked) as run:
        assert run.stdout is not None
        assert any("looking at" in line for line in run.stdout), "it looked"
        killed = [kill(each) for each in stack.processes() if is_look(each)]
        assert killed and "failed" in run.stdout.read()
    assert run.returncode == 1
    assert opened(stack) >= WRONG and not {*receiver.told("resolved")} & WRONG, "nothing is said of what is not kept"
    stack.heliostat("monitor", "run", "flights", "-s", "local")
    assert not opened(stack) & WRONG
    assert all((receiver.told("firing")[key], receiver.told("resolved")[key]) == (1, 1) for key in WRONG)
    assert len({given for _, _, given in receiver.got}) == len(receiver.got)


def is_look(process: psutil.Process) -> bool:
    try:
        return "heliostat.jobs.monitor" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> int:
    process.kill()
    return process.pid


def test_a_refused_file_stops_what_is_trained_on_it_and_nothing_else(stack: Checkout) -> None:
    stack.heliostat("datasets", "schema", tides.NAME, "-s", "local")
    stack.up()
    tides.put(stack.root, "2", tides.START + dt.timedelta(days=8), 100, tall=30)
    stack.configure({"workloads": {tides.NAME: {"data": {"until": "2020-01-20T00:00:00Z"}}}})
    stack.flights(monitor={"drift": {"alpha": 0.001}})
    refused = stack.up(check=False)
    assert refused.code == 1
    assert "the column 'height'" in refused.output and "above the maximum" in refused.output
    assert "TrainJob tides" not in refused.output, "nothing is trained on it"
    assert "Monitor flights updated" in refused.output, "and all else goes on"
    assert 0 < stack.predict(tides.NAME, tides.WAVE).json()["probability"] < 1, "what serves does, too"


def test_the_mended_file_and_rows_that_come_late_are_a_version_of_their_own(stack: Checkout) -> None:
    tides.put(stack.root, "2", tides.START + dt.timedelta(days=8), 100)
    tides.put(stack.root, "late", tides.START + dt.timedelta(days=2), 40)
    assert "40 rows" in stack.up().output
    listed = [
        line.split()[1] for line in stack.heliostat("datasets", "list", tides.NAME, "-s", "local").output.splitlines()[1:]
    ]
    assert len(listed) == 2
    shown = stack.heliostat("datasets", "show", tides.NAME, "-s", "local").output
    assert "came late" in shown and "2020-01-01 00:00:00" in shown
    assert "+2" in stack.heliostat("datasets", "diff", tides.NAME, "-s", "local").output
    stack.heliostat("datasets", "validate", tides.NAME, "-s", "local")
    assert "serves tides" in stack.heliostat("datasets", "prune", "--dry-run", "-s", "local").output


def test_a_monitor_that_is_declared_no_more_is_gone_and_what_it_found_is_kept(stack: Checkout) -> None:
    stack.flights(monitor=None)
    assert "what was found of flights is kept" in stack.up().output
    assert "Nothing is watched" in stack.heliostat("monitor", "list", "-s", "local").output
    assert "MONITOR" not in stack.heliostat("status", "-s", "local").output
    assert json.loads(stack.heliostat("report", "flights", "--json", "-s", "local").output)["state"]["lookedAt"]
