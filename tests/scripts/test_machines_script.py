"""The catalog of AWS's machines is what the script makes of the moto that it names."""

from __future__ import annotations

import json
import runpy
from importlib.metadata import version
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "machines.py"


def test_the_committed_catalog_is_the_one_that_the_script_makes() -> None:
    made = runpy.run_path(str(SCRIPT))
    committed = made["TARGET"].read_text()
    if f"moto {version('moto')} " not in json.loads(committed)["source"]:
        pytest.skip("the catalog was made of another moto than is installed; run scripts/machines.py and review what changes")
    assert committed == made["text"]()
