"""Analysis runners at work, for whoever tests one."""

from __future__ import annotations

import os

import pytest
import uvloop
from replicas import Running, version

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis_runner import AnalysisTask


def pytest_asyncio_loop_factories():
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def store(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/objects")


@pytest.fixture
def start(tmp_path, store):
    """Starts a runner; ends it after the test, however that ended."""
    started = []

    def run(*checks, shadow_share=None, serving=True, code_uri="", elapsed=0.0, **analysis):
        settings = {
            "checks": checks or ({"kind": "success-rate", "atLeast": 0.99},),
            "minRequests": 30,
            "seconds": 4,
            **analysis,
        }
        task = AnalysisTask.model_validate(
            {
                "application": "halves",
                "analysis": settings,
                "candidate": version(store, "2-new", code_uri),
                "serving": version(store, "1-old") if serving else None,
                "shadowShare": shadow_share,
                "elapsedSeconds": elapsed,
            }
        )
        temporary = tmp_path / "tmp"
        temporary.mkdir(exist_ok=True)
        started.append(Running(task, tmp_path, {**os.environ, "TMPDIR": str(temporary)}))
        return started[-1]

    yield run
    for each in started:
        each.kill()  # once more where the test did
