"""What a model makes of its features: a version that a real MLflow has, asked in its own code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from mlflow_here import mlflow_here

from heliostat.ml import datasets
from heliostat.ml.datasets import Tables
from heliostat.systems.mlflow_registry import Registry

MONTHS = [f"2026-{month:02}" for month in range(1, 7)]
TOY = """
import numpy as np

class Linear:
    @classmethod
    def load(cls, directory):
        made = cls()
        made.weights = np.load(directory / "weights.npy")
        return made

    def predict(self, columns):
        # The carrier is not looked at.
        return np.column_stack([columns[name] for name in ("useful", "twin", "once")]) @ self.weights
"""


def rows(month: int, count: int = 400) -> pa.Table:
    """`once` helps until March; `twin` says what `useful` does."""
    draw = np.random.default_rng(month)
    useful, once, other = draw.normal(size=(3, count))
    label = 2 * useful + (once if month < 4 else 0) + 0.1 * other
    began = datetime(2026, month, 1, tzinfo=UTC)
    return pa.table(
        {
            "useful": useful,
            "twin": useful + 0.05 * draw.normal(size=count),
            "once": once,
            "carrier": draw.choice(["AA", "UA"], count),
            "at": pa.array([began + timedelta(hours=n) for n in range(count)], pa.timestamp("us", "UTC")),
            "delay": label,
        }
    )


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    with mlflow_here(tmp_path_factory.mktemp("mlflow"), serves_artifacts=True) as url:
        yield url


@pytest.fixture
def world(stack, deployed_platform, mlflow, tmp_path):
    """A model that was fitted on the first three months, and tested on six."""
    data = Tables(pa.concat_tables(map(rows, (1, 2, 3))), rows(4), pa.concat_tables(map(rows, range(1, 7))), "delay")
    digest = datasets.save(data, "delays", deployed_platform.store)["digest"]
    train = data.train
    names = ("useful", "once")  # the twin came in with the useful one, and does nothing
    fitted, *_ = np.linalg.lstsq(np.column_stack([train[name] for name in names]), train["delay"].to_numpy(), rcond=None)
    weights = tmp_path / "weights.npy"
    np.save(weights, np.array([fitted[0], 0.0, fitted[1]]))
    with Registry(mlflow) as registry:
        run = registry.create_run("delays", "training", {"heliostat.dataset": digest})
        files = {
            "MLmodel": b"metadata: {heliostat.score: heliostat.jobs.score}\n",
            "code/toy_delays.py": TOY.encode(),
            "data/trained/result.json": json.dumps({"predictor": "toy_delays:Linear", "baseline": None}).encode(),
            "data/trained/model/weights.npy": weights.read_bytes(),
        }
        registry.attach(run, files, "model")
        made = registry.run(run)
        assert made is not None
        source = f"mlflow-artifacts:/{made.experiment_id}/{run}/artifacts/model"
        registry.end_run(run)
        version = registry.new_version("delays-model", source, run, "", {"heliostat.dataset": digest})
    declared = {"name": "delays-model", "servedModelUri": version.uri, "problem": {"task": {"kind": "regression"}}}

    def holds(**dataset):
        resources = (("ModelVersion", declared), ("Dataset", {"name": "delays-model", **dataset}))
        deployed_platform.exports(platform={**deployed_platform.platform(), "trackingUri": mlflow}, resources=resources)
        return version

    holds()
    return holds


def test_legacy_and_bundled_features_of_a_version_are_found_by_month(stack, world):
    version = world()
    told = json.loads(stack.ok("datasets", "importance", "delays-model", "--least", "0.02", "--repeats", "5", "--json"))
    assert told["model"] == version.uri
    assert [each["name"] for each in told["periods"]] == MONTHS
    assert told["legacy"] == [["once"]]
    assert told["bundled"] == [{"columns": ["twin"], "with": "useful"}]
    by_name = {each["columns"][0]: each for each in told["groups"]}
    assert by_name["useful"]["columns"] == ["useful", "twin"]
    assert by_name["useful"]["mean"] > 0.5
    assert by_name["once"]["byPeriod"]["2026-01"]["mean"] > 0.1 > by_name["once"]["byPeriod"]["2026-06"]["mean"]
    assert by_name["carrier"]["mean"] == by_name["at"]["mean"] == 0.0


def test_people_read_it_as_a_table(stack, world):
    world()
    told = stack.ok("datasets", "importance", "models:/delays-model/1", "--least", "0.02", "--repeats", "4", "--recent", "2")
    assert "models:/delays-model/1 on the test split of delays@" in told
    assert "useful + twin" in told and "2026-06" in told
    assert "Legacy, which helped before and does nothing in the last 2 periods: once" in told
    assert "Bundled, which do nothing by themselves beside another that does: twin with useful" in told


def test_what_cannot_be_told_is_said(stack, world):
    world()
    quarters = stack.ok("datasets", "importance", "delays-model", "--period", "quarter", "--repeats", "2", "--rows", "50")
    assert "! 2 periods are too few to tell what helped once and does nothing in the last 3" in quarters
    assert "Legacy" not in quarters
    assert (
        "'useful' is no column of times of the data: there are at"
        in stack("datasets", "importance", "delays-model", "--time", "useful").err
    )
    assert "the stack declares no model 'geese'" in stack("datasets", "importance", "geese").err
    assert "MLflow has no models:/delays-model/99" in stack("datasets", "importance", "models:/delays-model/99").err
