"""What is stored goes on naming modules as they were called when it was: each former name leads to what it led to."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

STORED = {
    "heliostat.ml.booster": ("heliostat.ml.frameworks.lightgbm.booster", "Booster", "parameter_aliases"),
    "heliostat.ml.boosting": ("heliostat.ml.frameworks.lightgbm.boosting", "Examples", "Plan", "boost"),
    "heliostat.ml.serving": ("heliostat.serving.replica", "Replica", "build"),
    "heliostat.ml.sealing": ("heliostat.serving.prediction_log.files", "main"),
    "heliostat.ml.analyst": ("heliostat.analysis.__main__", "main"),
}
"""Former name, present name, and the names in it that code packages, Serve's applications and settings ask for."""


@pytest.mark.parametrize("former", STORED)
def test_a_former_name_leads_to_the_module_that_has_its_place(former: str) -> None:
    present, *names = STORED[former]
    for name in names:
        assert getattr(importlib.import_module(former), name) is getattr(importlib.import_module(present), name)


def test_a_controller_that_knows_the_analysis_runner_by_its_former_name_starts_it() -> None:
    command = [sys.executable, "-m", "heliostat.ml.analyst", "--task", "nowhere.json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "the task nowhere.json cannot be read" in ended.stderr
