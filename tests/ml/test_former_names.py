"""What is stored goes on naming modules as they were called when it was: each former name leads to what it led to."""

from __future__ import annotations

import importlib

import pytest

STORED = {
    "heliostat.ml.booster": ("heliostat.ml.frameworks.lightgbm.booster", "Booster", "parameter_aliases"),
    "heliostat.ml.boosting": ("heliostat.ml.frameworks.lightgbm.boosting", "Examples", "Plan", "boost"),
}
"""Former name, present name, and the names in it that code packages, Serve's applications and settings ask for."""


@pytest.mark.parametrize("former", STORED)
def test_a_former_name_leads_to_the_module_that_has_its_place(former: str) -> None:
    present, *names = STORED[former]
    for name in names:
        assert getattr(importlib.import_module(former), name) is getattr(importlib.import_module(present), name)
