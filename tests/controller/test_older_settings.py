"""A controller's settings as an older release wrote them are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliostat.spec.controller import ControllerSettings


@pytest.mark.parametrize("key", ["analysisModule", "analystModule"])
def test_the_analysis_runners_module_is_read_under_either_key_and_written_under_one(key: str, tmp_path: Path) -> None:
    address, store = {"url": "http://127.0.0.1:8265"}, {"uri": tmp_path.as_uri()}
    inputs = {"directory": str(tmp_path), "ray": address, "store": store, "trackingUri": "http://127.0.0.1:5000"}
    older = {
        "inputs": inputs,
        "apiPort": 2001,
        "publicPort": 2002,
        "servePort": 2003,
        "runtimeDirectory": "/run",
        key: "some.runner",
    }
    found = ControllerSettings.model_validate_json(json.dumps(older))
    assert found.analysis_module == "some.runner"
    written = json.loads(found.model_dump_json())
    assert written["analysisModule"] == "some.runner"
    assert "analystModule" not in written
    assert ControllerSettings(**{**found.model_dump(by_alias=False), "analysis_module": "x"}).analysis_module == "x"
