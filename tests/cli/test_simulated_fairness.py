"""Fairness by group goes through a simulation: the monitor's alarm, the gate that refuses for it, and the page of both."""

from __future__ import annotations

import json

import pytest
from test_simulate import CONTRACT, DATASET, LEARNING_PREDICTOR, LEARNING_TRAIN, swans

pytest.importorskip("fairlearn")
__all__ = ["swans"]
CONFIG = """
config:
  heliostat:workloads:
    swans:
      gate:
        fairness: [{column: lake, metric: demographic_parity_difference, atMost: 0.05, minRows: 100}]
      monitor:
        field: probability
        quality: [{metric: roc_auc, margin: 0.05}]
        fairness:
          - {column: lake, metric: demographic_parity_difference, atMost: 0.2, minRows: 100}
          - {column: lake, metric: demographic_parity_ratio, atLeast: 0.1, minRows: 100}
        retraining: {triggers: [{kind: finding, aspects: [quality], windows: 2}], cooldownSeconds: 0}
"""


def test_groups_are_watched_judged_and_shown(swans, stack):
    lakes = '"lake": np.where(weight > 0.6, "east", draw.choice(["east", "west"], rows)), "weight": weight'
    (swans / "dataset.py").write_text(DATASET.replace('"weight": weight', lakes))
    (swans / "train.py").write_text(LEARNING_TRAIN)
    (swans / "predictor.py").write_text(LEARNING_PREDICTOR)
    contract = CONTRACT.replace("    weight: float\n", "    weight: float\n    lake: str\n")
    (swans / "contract.py").write_text(contract.replace("weight=0.5)", "weight=0.5, lake='east')"))
    (stack.folder / "configs").mkdir(exist_ok=True)
    (stack.folder / "configs" / "Pulumi.other.yaml").write_text(CONFIG)
    said = stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-06", "-s", "other", "--json")
    months = {each["name"]: each for each in json.loads(said)}
    first = months["2020-03"]
    key = "fairness/demographic_parity_difference by lake"
    assert first["figures"][key] > 0.3 and f"swans/{key}" in first["began"]
    assert not any("ratio" in each for month in months.values() for each in month["began"])
    assert "refused: demographic_parity_difference between the groups of lake is" in months["2020-06"]["retraining"]
    page = stack.ok("report", "swans", "--simulated", "-o", "-")
    assert "Fairness by group" in page and "surest to differ are east (" in page
    assert "demographic_parity_difference by lake, version 2 refused" in page
    told = json.loads(stack.ok("report", "swans", "--simulated", "--json"))
    [judged] = told["fairnessAtGate"]
    assert set(judged["checks"][0]["groups"]) == {"east", "west"} and judged["checks"][0]["groups"]["west"]["positives"] > 0
    assert {each["subject"] for each in told["windows"][0]["findings"] if each["aspect"] == "fairness"} == {
        "demographic_parity_difference by lake", "demographic_parity_ratio by lake",
    }  # fmt: skip
