"""The digits workload: one network for JAX and NumPy, and one model however many workers there are."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads.digits import dataset
from workloads.digits.contract import CONTRACT, ONE, ZERO
from workloads.digits.model import begun, logits, probabilities
from workloads.digits.predictor import Model, images_of

ROOT = Path(__file__).parents[2]
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs the extra [jax]")

WORKER = """
import json, sys
from contextlib import contextmanager
from types import SimpleNamespace
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.training import Context
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Multiclass
from workloads.digits import dataset, train

rank, workers, machines, parameters, told = (json.loads(each) for each in sys.argv[1:6])
tables = dict(dataset.snapshot({}))

class Here(Context):
    @contextmanager
    def resumed(self):
        yield None
    def checkpoint(self, save, metrics):
        return None
    def finish(self, trained):
        self.trained = trained

data = SimpleNamespace(table=lambda split, *_: tables[split], manifest=lambda: {"label": dataset.LABEL})
problem = Problem(task=Multiclass(classes=tuple(map(str, range(10)))))
context = Here(parameters, data, rank, workers, 1, tuple(machines), MetricLogger("", ""), problem)
if told != workers:
    context.workers = told
train.train(context)
if rank == 0:
    context.trained.save_model(__import__("pathlib").Path(sys.argv[6]))
    print(json.dumps(dict(context.trained.metrics)))
"""


def trained(folder: Path, workers: int, told: int | None = None, **parameters: Any) -> list[subprocess.CompletedProcess[str]]:
    """The workers of a training, each a process of its own, `told` that they are so many."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        machines = [f"127.0.0.1:{probe.getsockname()[1]}"] * workers
    folder.mkdir()
    given = {"epochs": 6, "checkpoint_every": 99, **parameters}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *map(json.dumps, (rank, workers, machines, given, told or workers)), str(folder)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(workers)
    ]  # fmt: skip
    try:
        return [
            subprocess.CompletedProcess(each.args, each.returncode, *output)
            for each in started
            for output in [each.communicate(timeout=300)]
        ]
    finally:
        for each in started:
            each.kill()


def test_the_snapshot_holds_every_image_once_as_it_is() -> None:
    tables = dataset.snapshot({})
    assert sum(table.num_rows for _, table in tables) == 1797
    assert str(tables.train.schema.field("image").type).startswith("fixed_size_list")


def test_images_are_the_same_from_a_request_and_from_a_table() -> None:
    from heliostat.ml.contracts import columns_of

    table = dataset.snapshot({}).test.slice(0, 3)
    from_table = images_of(columns_of(table))
    assert from_table.shape == (3, 8, 8)
    assert images_of({"image": table["image"].to_pylist()}).tolist() == from_table.tolist()
    frame = np.empty(3, dtype=object)
    frame[:] = [np.array([np.array(row) for row in image], dtype=object) for image in table["image"].to_pylist()]
    assert images_of({"image": frame}).tolist() == from_table.tolist()


def test_probabilities_are_those_of_each_class_and_sum_to_one() -> None:
    found = Model(begun(1)).predict(CONTRACT.columns([ZERO, ONE]))
    assert found.shape == (2, 10)
    assert np.allclose(found.sum(axis=1), 1)
    assert CONTRACT.respond(found[0].tolist()).digit == int(found[0].argmax())


def test_a_convolution_is_the_one_of_the_text_book() -> None:
    from scipy.signal import correlate2d

    from workloads.digits.model import _convolved

    image = np.random.default_rng(0).random((1, 8, 8, 1))
    kernel = np.random.default_rng(1).random((3, 3))
    found = _convolved(np, image, kernel.reshape(9, 1), np.zeros(1))[0, :, :, 0]
    assert np.allclose(found, correlate2d(image[0, :, :, 0], kernel, mode="same"))


@needs_jax
def test_jax_and_numpy_answer_alike() -> None:
    import jax.numpy as jnp

    images = images_of({"image": dataset.snapshot({}).test["image"].to_pylist()[:20]})
    weights = begun(3)
    assert np.allclose(logits(jnp, weights, images), logits(np, weights, images), atol=1e-4)
    assert np.allclose(probabilities(jnp, weights, images), probabilities(np, weights, images), atol=1e-5)


@needs_jax
@pytest.mark.timeout(900)
def test_two_workers_train_the_model_of_one_and_it_knows_the_digits(tmp_path: Path) -> None:
    [alone] = trained(tmp_path / "one", 1)
    both = trained(tmp_path / "two", 2)
    assert [each.returncode for each in (alone, *both)] == [0, 0, 0], both[0].stderr[-2000:]
    one, two = (Model.load(tmp_path / name).arrays for name in ("one", "two"))
    assert all(np.allclose(one[name], two[name], atol=1e-4) for name in one)
    assert json.loads(both[0].stdout.splitlines()[-1])["accuracy"] > 0.7


@needs_jax
def test_a_group_with_fewer_workers_than_the_training_has_is_refused(tmp_path: Path) -> None:
    code = (
        "from types import SimpleNamespace as S\n"
        "from contextlib import nullcontext\n"
        "import jax\n"
        "from heliostat.ml.frameworks.jax import group\n"
        "jax.distributed.initialize = lambda *a, **k: None\n"
        "c = S(workers=2, rank=0, machines=('127.0.0.1:1', ''), threads=1, accelerators=0.0, accelerator='', "
        "measured=lambda phase: nullcontext())\n"
        "group.join(c)\n"
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert "worker 0 of 2 is process 0 of 1 in JAX's group" in done.stderr


@needs_jax
def test_the_script_says_so_where_there_is_no_accelerator() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "digits_step.py")],
        env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "finds no accelerator here" in done.stdout
