"""A platform whose parts are on machines of their own, and an update from yet another machine and checkout."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Elsewhere
from lan import Machine

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
PARTS = ("Pulumi.yaml", "infra", "workloads", "configs", "heliostat")
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "pass", "HELIOSTAT_ENGINE": "embedded"}


class Checkout:
    """A copy of the project on one of the machines, with the state in the bucket that all share."""

    def __init__(self, elsewhere: Elsewhere, machine: Machine, stack: str, config: dict[str, Any]) -> None:
        self.machine, self.stack, self.root = machine, stack, elsewhere.folder / machine.name
        self.root.mkdir()
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.root / part)
        (self.root / ".venv").symlink_to(ROOT / ".venv")
        text = "".join(f"  heliostat:{key}: {json.dumps(value)}\n" for key, value in config.items())
        (self.root / "configs" / f"Pulumi.{stack}.yaml").write_text(f"config:\n{text}")
        runtime = elsewhere.folder / f"{machine.name}-run"
        runtime.mkdir()
        self.environment = {
            **elsewhere.common,
            **PASSPHRASE,
            "PULUMI_BACKEND_URL": f"s3://state?endpoint={elsewhere.s3}&region=us-east-1&s3ForcePathStyle=true",
            "PYTHONPATH": str(self.root),
            "RAY_TOKEN": elsewhere.ray_token,
            "HELIOSTAT_TOKEN": elsewhere.api_token,
            "TMPDIR": str(runtime),
        }

    def __call__(self, *arguments: str, code: int = 0) -> str:
        command = [str(Path(sys.executable).with_name("heliostat")), *arguments, "-s", self.stack]
        done = self.machine.run(command, self.environment, self.root)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self) -> str:
        return self("up", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def platform(elsewhere: Elsewhere) -> Checkout:
    """The platform's stack, up on the machine where the controller is to be."""
    config = {
        "kind": "ray",
        "ray": {"url": elsewhere.ray_url, "credential": {"kind": "environment", "variable": "RAY_TOKEN"}},
        "tracking": {"uri": elsewhere.tracking_uri},
        "store": {"kind": "s3", "bucket": "models", "endpoint": elsewhere.s3},
        "controller": {
            "host": elsewhere.control.address,
            "apiPort": 9000,
            "credential": {"kind": "environment", "variable": "HELIOSTAT_TOKEN"},
        },
        "publicPort": 8080,
    }
    found = Checkout(elsewhere, elsewhere.control, "platform", {"platform": config})
    found("stack", "init")
    found.up()
    return found


@pytest.fixture(scope="module")
def workloads(elsewhere: Elsewhere, platform: Checkout) -> Checkout:
    """The workloads' stack, on a machine that has nothing of the platform but what is exported."""
    flights = {
        "training": {"parameters": {"rounds": 5}, "scaling": {"workers": 2, "cpusPerWorker": 1}},
        "gate": {"metric": "roc_auc", "margin": 0.5},
        "serving": {"replicas": 2, "cpusPerReplica": 0.5, "strategy": {"kind": "blue-green", "retentionSeconds": 0}},
    }
    config = {"platformStack": "organization/heliostat/platform", "workloads": {"flights": flights}}
    found = Checkout(elsewhere, elsewhere.desk, "work", config)
    found("stack", "init")
    found.up()
    return found


def test_workloads_of_another_machine_are_trained_and_served(elsewhere: Elsewhere, workloads: Checkout) -> None:
    exported = json.loads(workloads("stack", "output", "--json"))
    url = exported["flights"]["url"]
    assert url == f"http://{elsewhere.control.address}:8080/flights"
    schema = elsewhere.desk.get(exported["flights"]["openapiUrl"])
    assert schema.status_code == 200
    (prediction,) = (each for path, each in json.loads(schema.text)["paths"].items() if path.endswith("/predict"))
    (example, *_) = prediction["post"]["requestBody"]["content"]["application/json"]["examples"].values()
    answer = elsewhere.desk.get(f"{url}/predict", body=example["value"])
    assert answer.status_code == 200, answer.text
    assert "flights" in workloads("predict")


def test_replicas_are_on_the_machines_of_the_cluster(elsewhere: Elsewhere, workloads: Checkout) -> None:
    headers = {"Authorization": f"Bearer {elsewhere.ray_token}"}
    details = json.loads(elsewhere.desk.get(f"{elsewhere.ray_url}/api/serve/applications/", headers).text)
    nodes = {each.address for each in (elsewhere.head, *elsewhere.workers)}
    targets = [
        target["ip"] for group in details["target_groups"] for target in group["targets"] if "REPLICA" in target["name"]
    ]
    assert len(targets) >= 2
    assert set(targets) <= nodes


def test_nothing_of_ours_listens_on_loopback(elsewhere: Elsewhere, workloads: Checkout) -> None:
    assert set(elsewhere.control.listeners()) == {elsewhere.control.address}
    assert elsewhere.desk.listeners() == []


def test_an_update_with_nothing_to_do_does_nothing_on_either_machine(platform: Checkout, workloads: Checkout) -> None:
    for checkout in (platform, workloads):
        text = checkout("preview", "--expect-no-changes")
        assert "unchanged" in text


def test_no_token_stands_in_state_config_or_files(elsewhere: Elsewhere, platform: Checkout, workloads: Checkout) -> None:
    tokens = (elsewhere.ray_token, elsewhere.api_token)
    states = platform("stack", "export") + workloads("stack", "export")
    files = [
        path for checkout in (platform, workloads) for path in (checkout.root / ".heliostat").rglob("*") if path.is_file()
    ]
    assert files
    for token in tokens:
        assert token not in states
        assert all(token.encode() not in path.read_bytes() for path in files)


def test_who_has_no_token_is_told_which_variable_to_set(elsewhere: Elsewhere, workloads: Checkout) -> None:
    before = workloads.environment
    workloads.environment = {key: value for key, value in before.items() if key != "HELIOSTAT_TOKEN"}
    try:
        text = workloads("rollout", "status", "flights", code=1)
    finally:
        workloads.environment = before
    assert "is to be in the environment variable HELIOSTAT_TOKEN: set it here" in text


def test_the_operators_commands_work_from_there(elsewhere: Elsewhere, workloads: Checkout) -> None:
    text = workloads("status")
    for url in (elsewhere.ray_url, elsewhere.tracking_uri, f"http://{elsewhere.control.address}:9000"):
        assert url in text
    assert "3 nodes" in text
    assert "rollout 1: 100 % to 1-" in workloads("history", "flights")


def test_another_version_is_rolled_out_from_there(elsewhere: Elsewhere, workloads: Checkout) -> None:
    file = workloads.root / "configs" / "Pulumi.work.yaml"
    file.write_text(file.read_text().replace('"rounds": 5', '"rounds": 6'))
    workloads.up()
    newest = workloads("rollout", "list", "flights").splitlines()[1]
    assert re.search(r"blue-green +1-\S+ -> 2-\S+ +(retiring|succeeded)", newest), newest
    assert "2-" in workloads("predict")


def test_taking_it_down_leaves_what_was_there(elsewhere: Elsewhere, platform: Checkout, workloads: Checkout) -> None:
    workloads("destroy", "--yes", "--skip-preview")
    platform("destroy", "--yes", "--skip-preview")
    assert elsewhere.control.listeners() == []
    headers = {"Authorization": f"Bearer {elsewhere.ray_token}"}
    details = json.loads(elsewhere.desk.get(f"{elsewhere.ray_url}/api/serve/applications/", headers).text)
    assert details["applications"] == {}
    assert elsewhere.desk.get(f"{elsewhere.tracking_uri}/health").status_code == 200
