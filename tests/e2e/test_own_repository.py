"""A user's way with the installed library: a new repository, up, a prediction; what serves stays what it was declared with.

The tests run in this order on one stack: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from heliostat.layout import data_folder
from heliostat.serving.grpc import messages
from heliostat.serving.grpc.definition import descriptor_of
from heliostat.serving.grpc.messages import classes_of
from heliostat.spec.proto import parse
from heliostat.systems import processes
from tests.installed import environment_with, run, variables, wheel_in

pytestmark = [pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(600)]
_REPLICA = "ray::ServeRepl"
_HEALED_S = 90.0


class Repository:
    """A user's repository and the environment that the library is installed in."""

    def __init__(self, folder: Path) -> None:
        (folder / "wheel").mkdir()
        self.bin = environment_with(wheel_in(folder / "wheel"), folder / "environment")
        run(self.bin / "heliostat", folder, "new", "mine")
        self.root = folder / "mine"
        config = self.root / "configs/Pulumi.local.yaml"
        with_queue = config.read_text().replace("        replicas: 2\n", "        replicas: 2\n        queue: {}\n")
        assert "queue" in with_queue
        config.write_text(with_queue)

    def heliostat(self, *arguments: str) -> str:
        return run(self.bin / "heliostat", self.root, *arguments, timeout=500)

    def prediction(self) -> dict[str, Any]:
        (found,) = json.loads(self.heliostat("predict", "--json"))
        return dict(found)

    @property
    def library(self) -> Path:
        (found,) = self.bin.parent.glob("lib/python*/site-packages/heliostat")
        return found

    def replicas(self) -> set[int]:
        """The processes of its replicas."""
        marked = processes.marked(data_folder(self.root, "local") / "ray")
        return {each.pid for each in marked if each.name().startswith(_REPLICA)}

    def is_well(self) -> bool:
        """Whether every part is, and every application answers with all of its replicas."""
        command = [self.bin / "heliostat", "status"]
        return subprocess.run(command, cwd=self.root, env=variables(), capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository(tmp_path_factory.mktemp("user"))
    yield made
    made.heliostat("destroy", "--yes", "--skip-preview")


def test_a_new_repository_goes_from_nothing_to_a_prediction(repository: Repository) -> None:
    repository.heliostat("config", "set", "--path", "heliostat:workloads.tumours.serving.interface", "both", "-s", "local")
    repository.heliostat("proto", "tumours")
    repository.heliostat("up", "--yes", "--skip-preview")
    found = repository.prediction()
    assert found["answered"] == {"probability": pytest.approx(found["answered"]["probability"]), "malignant": True}
    assert found["version"].startswith("1-")


def test_a_task_is_answered_to_the_byte_as_a_prediction_is(repository: Repository) -> None:
    found = repository.prediction()
    url = found["url"].removesuffix("/predict")
    with httpx.Client(timeout=30) as client:
        taken = client.post(f"{url}/tasks", json=found["asked"])
        assert taken.status_code == httpx.codes.ACCEPTED
        deadline = time.monotonic() + _HEALED_S
        while (result := client.get(f"{url}/tasks/{taken.json()['id']}/result", params={"wait": 5})).status_code == 202:
            assert time.monotonic() < deadline, "nobody answers it"
        predicted = client.post(f"{url}/predict", json=found["asked"])
    assert (result.status_code, result.content) == (httpx.codes.OK, predicted.content)
    assert result.headers["x-heliostat-version"] == found["version"]
    assert "tumours: 0 wait, 0 run, 0 dead letters" in repository.heliostat("tasks", "list")


def test_every_way_to_ask_gives_the_same_answer_to_the_bit(repository: Repository) -> None:
    found = repository.prediction()
    url, row = found["url"].removesuffix("/predict"), found["asked"]
    expected = httpx.post(f"{url}/predict", json=row).json()["probability"]
    asked = [{"name": name, "datatype": "FP64", "shape": [1], "data": [value]} for name, value in row.items()]
    told = httpx.post(f"{url}/v2/models/tumours/infer", json={"inputs": asked}).json()["outputs"]
    assert next(each["data"] for each in told if each["name"] == "probability") == [expected]
    kept = parse((repository.root / "workloads/tumours/contract.proto").read_text())
    of = classes_of(descriptor_of(kept), kept.package)
    call = messages.ModelInferRequest(model_name="tumours")
    for name, value in row.items():
        call.inputs.add(name=name, datatype="FP64", shape=[1]).contents.fp64_contents.append(value)
    with grpc.insecure_channel(url.partition("//")[2].partition("/")[0]) as channel:
        own = channel.unary_unary("/heliostat.tumours.Predictor/Predict")(of("PredictRequest")(rows=[row]).SerializeToString())
        answer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(call.SerializeToString())
    assert of("PredictResponse").FromString(own).rows[0].probability == expected
    raw = messages.ModelInferResponse.FromString(answer)
    at = [each.name for each in raw.outputs].index("probability")
    assert raw.raw_output_contents[at] == struct.pack("<d", expected)


def test_a_second_up_changes_nothing(repository: Repository) -> None:
    repository.heliostat("up", "--yes", "--skip-preview", "--expect-no-changes")


def test_the_ledger_says_which_library_serves(repository: Repository) -> None:
    (entry,) = sorted(repository.root.glob(".heliostat/stacks/local/objects/ledger/tumours/*.json"))[-1:]
    runtime = json.loads(entry.read_text())["target"]["version"]["runtime"]
    assert Path(runtime["libraryUri"].removeprefix("file://")).is_file()


def test_a_replica_that_starts_after_the_library_was_changed_runs_what_its_version_was_declared_with(
    repository: Repository,
) -> None:
    before = repository.prediction()
    serving = repository.library / "ml/serving.py"
    whole = serving.read_text()
    serving.write_text("raise RuntimeError('another library than the version was declared with')\n")
    try:
        (killed, *_), there = sorted(repository.replicas()), repository.replicas()
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + _HEALED_S
        while not (repository.replicas() - there and repository.is_well()):
            assert time.monotonic() < deadline, "no replica took the place of the one that was killed"
            time.sleep(0.5)
        assert repository.prediction() == before
    finally:
        serving.write_text(whole)
