"""A regressor that ten lines of plain MLflow log, served by its name: the way of the page, beside another workload."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.stack import ROOT, Checkout

pytestmark = [pytest.mark.long, pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(600)]

QUICK = "registered_model_name='rents', pip_requirements=['mlflow'])"
"""Finding a model's requirements takes MLflow longer than all else here."""
LATER = """
flats["floor"] = 1.0
mlflow.sklearn.log_model(model.fit(flats, rent), name="rents", input_example=flats.head(), registered_model_name="rents",
                         pip_requirements=["mlflow"])
"""


@pytest.fixture(scope="module")
def platform(checkout: Checkout) -> Iterator[Checkout]:
    """The stack as the tests before left it, or up anew; afterwards it is that again."""
    checkout.up()
    yield checkout
    checkout.configure({"workloads": {"rents": None}})
    checkout.up()


def page() -> str:
    return (ROOT / "docs/models-of-others.md").read_text()


def test_the_page_s_way_ends_with_a_prediction(platform: Checkout) -> None:
    code = re.search(r"```python\n(.*?)```", page(), re.S)
    assert code is not None
    lines = re.sub(r"^ {3}", "", code[1], flags=re.M).replace('registered_model_name="rents")', QUICK)
    script = platform.root / "logging.py.txt"
    script.write_text(lines + LATER)
    environment = {**platform.environment, "MLFLOW_TRACKING_URI": platform.outputs()["platform"]["trackingUri"]}
    subprocess.run([sys.executable, str(script)], env=environment, check=True, capture_output=True, cwd=platform.root)
    platform.heliostat("contract", "rents", "--model", "models:/rents/1")
    file = platform.root / "workloads/rents/contract.yaml"
    reviewed(file)
    platform.configure({"workloads": {"rents": {"serving": {"replicas": 1, "cpusPerReplica": 0.1}}}})
    platform.up()
    answer = httpx.post(f"{platform.outputs()['rents']['url']}/predict", json=example(file)["request"], timeout=30)
    assert answer.json() == pytest.approx(example(file)["answer"], rel=1e-9)
    assert answer.headers["x-heliostat-version"].startswith("1-")
    assert "succeeded" in platform.heliostat("history", "rents").output


def test_a_later_version_that_does_not_fit_is_refused_in_the_preview(platform: Checkout) -> None:
    platform.configure({"workloads": {"rents": {"mlflow": "models:/rents/2"}}})
    told = platform.tried("preview", "--stack", "local")
    assert told.code
    assert "the model has the column 'floor', which the contract does not have" in told.output


def reviewed(file: Path) -> None:
    """Answer what the contract asks."""
    given = yaml.safe_load(file.read_text())
    given |= {"description": "The monthly rent of a flat.", "ranges": "open"}
    given["answer"]["prediction"]["description"] = "Euro a month"
    file.write_text(yaml.safe_dump(given, sort_keys=False))


def example(file: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = yaml.safe_load(file.read_text())["golden"][0]
    return found
