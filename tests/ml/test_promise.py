"""What workloads import of the library, name by name: a change of this list is a change for everybody who has a workload."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISED = {
    "heliostat.ml": {
        "arrays", "checks", "contracts", "datasets", "extras", "federated", "flow", "frameworks", "ground_truth", "in_memory",
        "metrics", "personal", "postprocessing", "predictions", "recency", "tasks", "tensors", "training",
    },
    "heliostat.ml.arrays": {"ArrayModel"},
    "heliostat.ml.checks": {"Body", "Candidate", "Outcome", "Reply", "Sample"},
    "heliostat.ml.contracts": {"Columns", "Contract", "Golden", "Predictor", "columns_of"},
    "heliostat.ml.datasets": {"DataSource", "Parent", "Parts", "Snapshot", "Tables", "check"},
    "heliostat.ml.extras": {"require"},
    "heliostat.ml.federated": {
        "Arrays", "FederatedAveraging", "FederatedSums", "Fitted", "LeastSquares", "LogisticRegression", "train_here",
    },
    "heliostat.ml.flow": {
        "Flow", "FlowError", "Interface", "beside", "check", "read", "run", "snapshot", "training",
    },
    "heliostat.ml.frameworks": {"jax", "lightgbm", "scikit_learn"},
    "heliostat.ml.frameworks.jax": {"group"},
    "heliostat.ml.frameworks.jax.group": {"Group", "alone", "join"},
    "heliostat.ml.frameworks.lightgbm": {"booster", "boosting"},
    "heliostat.ml.frameworks.lightgbm.booster": {"Booster"},
    "heliostat.ml.frameworks.lightgbm.boosting": {"Examples", "Plan", "boost"},
    "heliostat.ml.frameworks.scikit_learn": {"frames", "state"},
    "heliostat.ml.frameworks.scikit_learn.frames": {"Layout", "frame", "frame_of", "named", "table", "tables"},
    "heliostat.ml.frameworks.scikit_learn.state": {"State", "StatefulModel", "UnkeepableError"},
    "heliostat.ml.ground_truth": {"Label", "record"},
    "heliostat.ml.in_memory": {"Matrix", "SavedPredictor", "examples", "measured", "split_at_random", "training"},
    "heliostat.ml.metrics": {
        "METRICS", "Labels", "Metric", "Scores", "by_slice", "has_two_classes", "metric_of", "metrics_of", "overall",
    },
    "heliostat.ml.personal": {"Personal", "hashed", "never_logged", "truncated"},
    "heliostat.ml.postprocessing": {"Changed", "Given"},
    "heliostat.ml.predictions": {"Predictions"},
    "heliostat.ml.recency": {"recency"},
    "heliostat.ml.tasks": {"baselines", "evaluation"},
    "heliostat.ml.tasks.baselines": {"Baseline"},
    "heliostat.ml.tasks.evaluation": {"Evaluation"},
    "heliostat.ml.tensors": {"Datatype", "Tensor", "tensor_of"},
    "heliostat.ml.training": {"Context", "Trained"},
}  # fmt: skip


@pytest.mark.parametrize("module", PROMISED)
def test_a_module_promises_what_is_listed_here_and_has_it(module: str) -> None:
    loaded = importlib.import_module(module)
    assert set(loaded.__all__) == PROMISED[module]
    if hasattr(loaded, "__path__"):
        assert all(importlib.import_module(f"{module}.{name}") for name in loaded.__all__)
    else:
        assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


def test_every_promised_module_is_listed_here() -> None:
    listed = {"heliostat.ml"}
    waiting = ["heliostat.ml"]
    while waiting:
        loaded = importlib.import_module(waiting.pop())
        below = {f"{loaded.__name__}.{name}" for name in loaded.__all__ if hasattr(loaded, "__path__")}
        listed |= below
        waiting += below
    assert listed == set(PROMISED)


def test_the_workloads_of_this_repository_import_nothing_else_of_it() -> None:
    imported = {
        (node.module, each.name)
        for path in (ROOT / "workloads").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("heliostat.ml")
        for each in node.names
    }
    assert ("heliostat.ml.training", "Context") in imported
    assert {(module, name) for module, name in imported if name not in PROMISED.get(module or "", ())} == set()
