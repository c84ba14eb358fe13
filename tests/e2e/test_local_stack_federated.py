"""The digits over two sites, as the page has it: a coordinator on real Ray, sites as processes, the model back at each."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.stack import Checkout

pytestmark = [pytest.mark.long, pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(900)]

SITES = ("berlin", "lyon")


def federated(checkout: Checkout, **changes: Any) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hashes = {name: json.loads(checkout.heliostat("site", "token", name, "--json").output)["tokenSha256"] for name in SITES}
    return {
        "sites": {name: {"tokenSha256": digest} for name, digest in hashes.items()}, "coordinator": {"port": port},
        "rounds": 3, **changes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def declared(checkout: Checkout) -> Iterator[dict[str, Any]]:
    """The stack with the digits trained over sites, not up yet."""
    given = federated(checkout)
    serving = {"replicas": 1, "cpusPerReplica": 0.1}
    checkout.configure({"workloads": {"digits": {"federated": given, "serving": serving, "package": {}}}})
    yield given
    checkout.configure({"workloads": {"digits": None}})
    checkout.up()


@pytest.fixture(scope="module")
def sites(checkout: Checkout, declared: dict[str, Any]) -> Iterator[None]:
    """Two sites with half of the images each, which wait for their coordinator."""
    from workloads.digits.dataset import snapshot

    train = snapshot({}).train
    assert isinstance(train, pa.Table)
    started = []
    for number, name in enumerate(SITES):
        folder = checkout.root / "rows" / name
        folder.mkdir(parents=True)
        half = len(train) // 2
        pq.write_table(train.slice(number * half, half), folder / "images.parquet")
        url = f"http://127.0.0.1:{declared['coordinator']['port']}"
        command = [
            sys.executable,
            "-m",
            "heliostat.cli.main",
            "site",
            "run",
            name,
            "--coordinator",
            url,
            "--rows",
            str(folder),
        ]
        log = Path(checkout.root, f"{name}.log").open("wb")  # noqa: SIM115 - the process has it
        started.append(subprocess.Popen(command, cwd=checkout.root, env=checkout.environment, stdout=log, stderr=log))
    yield
    for process in started:
        process.terminate()
        process.wait(30)


def test_a_preview_tells_what_will_be_asked_of_the_sites(checkout: Checkout, declared: dict[str, Any]) -> None:
    told = checkout.heliostat("preview", "--stack", "local").output
    assert "over 2 sites (at least 2 a round), up to 3 rounds" in told
    assert "heliostat site run NAME" in told


def test_the_sites_train_a_model_that_is_served_and_comes_back_to_them(
    checkout: Checkout, declared: dict[str, Any], sites: None
) -> None:
    told = checkout.up().output
    assert "round 3 of 3" in told
    answer = checkout.heliostat("predict", "digits").output
    assert "digit" in answer
    for name in SITES:
        found = json.loads(checkout.heliostat("site", "package", name, "--json").output)
        assert found["version"] == "1.0"
        script = f"import sys; sys.path.insert(0, {found['folder']!r}); import digits_model; digits_model.Model()"
        subprocess.run([sys.executable, "-I", "-c", script], check=True)
    assert "unchanged" in checkout.up().output
