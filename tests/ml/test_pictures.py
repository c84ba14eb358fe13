"""Pictures of an evaluation."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from heliostat.ml.tasks.base import Truth
from heliostat.ml.tasks.evaluation import kind_of
from heliostat.ml.tasks.pictures import pictures
from heliostat.spec.tasks import Binary, Embedding, Free, Multiclass, Multilabel, Quantiles, Ranking, Regression, Task

ROWS = 40
RANDOM = np.random.default_rng(5)
NUMBER = RANDOM.normal(size=ROWS)


@pytest.mark.parametrize(
    ("task", "truth", "predictions", "names"),
    [
        (
            Binary(),
            Truth((NUMBER > 0).astype(float)),
            RANDOM.random(ROWS),
            {"confusion_matrix", "calibration", "roc", "precision_recall"},
        ),
        (Binary(), Truth(np.ones(ROWS)), RANDOM.random(ROWS), {"confusion_matrix", "calibration"}),
        (
            Multiclass(classes=("a", "b", "c")),
            Truth(RANDOM.integers(0, 3, ROWS)),
            RANDOM.dirichlet([1, 1, 1], ROWS),
            {"confusion_matrix", "calibration"},
        ),
        (
            Multilabel(labels=("a", "b")),
            Truth(RANDOM.integers(0, 2, (ROWS, 2))),
            RANDOM.random((ROWS, 2)),
            {"label_shares", "calibration"},
        ),
        (
            Regression(),
            Truth(NUMBER),
            NUMBER + 1,
            {"predicted_against_actual", "residuals", "residuals_by_prediction"},
        ),
        (
            Quantiles(levels=(0.1, 0.9)),
            Truth(NUMBER),
            np.stack([NUMBER - 1, NUMBER + 1], axis=1),
            {"pinball_by_level", "coverage_by_level"},
        ),
        (Ranking(group="q"), Truth(np.arange(4.0), np.array([2, 1, 1, 2])), np.arange(4.0), {"relevance_by_rank"}),
        (Embedding(dimensions=2), Truth(RANDOM.random((9, 2))), RANDOM.random((9, 2)), {"cosine_similarity"}),
        (Free(), Truth(np.array(["a"])), ["b"], set()),
        (Regression(), Truth(np.empty(0)), np.empty(0), set()),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_each_task_has_its_pictures_the_same_for_the_same_figures(
    task: Task, truth: Truth, predictions: Any, names: set[str]
) -> None:
    kind = kind_of(task)
    found = pictures(kind, truth, predictions)
    assert set(found) == {f"{name}.svg" for name in names}
    assert all(ET.fromstring(content).tag.endswith("svg") for content in found.values())
    if task == Binary():
        assert found == pictures(kind, truth, predictions)


def test_what_a_replica_imports_draws_nothing_and_measures_nothing() -> None:
    code = "import sys, heliostat.serving.replica; print({'matplotlib', 'sklearn', 'pyarrow.compute'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "matplotlib" not in told
    assert "sklearn" not in told
