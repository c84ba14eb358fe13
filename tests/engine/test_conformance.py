"""Every recorded case of the official CLI, with the `heliostat` command of this environment and its embedded engine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "engine-conformance"
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.json"))
HELIOSTAT = Path(sys.executable).with_name("heliostat")
AT_ONCE = 2

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"the recorded cases are not there: {FOLDER}"),
    pytest.mark.timeout(900),
]


def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("engine_conformance_compare", FOLDER / "compare.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[str]]]]:
    """What each chosen case finds different, with a few of them running at once."""
    check, engine = compare().check, [str(HELIOSTAT), "--engine", "embedded"]
    chosen = [item.callspec.params["case"] for item in request.session.items if item.path == Path(__file__)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(check, FOLDER / "cases", case, engine, sys.executable) for case in chosen}


@pytest.mark.parametrize("case", CASES or ["none"])
def test_the_embedded_engine_does_what_the_official_cli_did(case: str, found: dict[str, Future[list[str]]]) -> None:
    assert found[case].result() == []
