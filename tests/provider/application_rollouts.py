"""An Application, a controller that tells a story, and what a user is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fake_controller import FakeController

from heliostat.provider import switches
from heliostat.provider.application import ApplicationHandler
from heliostat.provider.resource import Context
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Analysis, AnalysisResult, CheckResult, Source, SuccessRate, Verdict
from heliostat.spec.code import code_digest as digest_of_files
from heliostat.spec.rollouts import Phase, Runtime
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep
from heliostat.spec.training_resources import Code
from heliostat.systems import git

HANDLER = ApplicationHandler()
STEPS = Canary(
    steps=(CanaryStep(weight=10, approval=True), CanaryStep(weight=50)),
    analysis=Analysis(checks=(SuccessRate(at_least=0.99),)),
)
THROUGH = {"phase": Phase.RETAINING, "candidate_weight": 1.0, "message": "all traffic is on it"}


RUNTIME = Runtime(library="0.1.0", library_digest="a" * 64, library_uri="file:///library.zip")


class Told:
    """What a user sees."""

    def __init__(self) -> None:
        self.progress: list[str] = []
        self.info: list[str] = []
        self.warnings: list[str] = []
        self.cancelled = asyncio.Event()
        self.context = Context("urn", self.progress.append, self.info.append, self.warnings.append, self.cancelled)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(autouse=True)
def no_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (switches.DETACH, switches.WAIT, switches.RETRY_REFUSED, git.BY, "GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)


def code(tmp_path: Path) -> Code:
    """A workload's code, of one file."""
    (tmp_path / "workloads").mkdir(exist_ok=True)
    (tmp_path / "workloads/app.py").write_text("x = 1\n")
    files = ("workloads/app.py",)
    return Code(root=str(tmp_path), files=files, digest=digest_of_files(tmp_path, files))


def inputs(controller: FakeController, tmp_path: Path, model: int = 1, **changes: Any) -> ApplicationInputs:
    values: dict[str, Any] = {
        "name": "flights",
        "code": code(tmp_path),
        "contract": "workloads.app:CONTRACT",
        "model_uri": f"models:/flights/{model}",
        "strategy": BlueGreen(),
        "store": StoreAddress(uri=f"file://{tmp_path}/objects"),
        "tracking_uri": "http://mlflow",
        "controller": controller.address,
    }
    return ApplicationInputs(**{**values, **changes})


async def first(told: Told, controller: FakeController, tmp_path: Path, **changes: Any) -> ApplicationOutputs:
    controller.story = [THROUGH]
    return (await HANDLER.create(told.context, inputs(controller, tmp_path, **changes))).outputs


def analysis(verdict: Verdict | None, *findings: CheckResult) -> AnalysisResult:
    ended = None if verdict is None else 9.0
    return AnalysisResult(step=0, verdict=verdict, findings=findings, began_at=1.0, ended_at=ended)


SLOW = CheckResult(
    check="latency p99", verdict=Verdict.FAIL, candidate=31.2, serving=12.0, limit="at most 1.5 times what serves",
    requests=1204, source=Source.TRAFFIC,
)  # fmt: skip
RIGHT = CheckResult(
    check="success rate", verdict=Verdict.PASS, candidate=1.0, limit="at least 99 %", requests=1234, source=Source.TRAFFIC
)
FAILS = {
    "phase": Phase.FAILED,
    "error": "the analysis of 2-x with 10 % of the traffic failed: latency p99 31.2 ms, what serves has 12 ms\n"
    "Traceback (most recent call last):\nValueError: no column 'altitude'",
    "steps": ("10 % of the traffic, analysed for 30 s",),
    "analyses": (analysis(Verdict.FAIL, SLOW, RIGHT),),
    "figures": {"startup_seconds": 12.1, "shift_milliseconds": 3.0},
}
