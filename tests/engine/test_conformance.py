"""Every recorded case of the official CLI, with the `heliostat` command of this environment and its embedded engine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
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


def differences(case: str) -> list[str]:
    found: list[str] = compare().check(FOLDER / "cases", case, [str(HELIOSTAT), "--engine", "embedded"], sys.executable)
    return found


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[str]]]]:
    """What each chosen case finds different, with a few of them running at once.

    In processes: a case takes this one's environment, which pytest changes meanwhile.
    """
    chosen = [item.callspec.params["case"] for item in request.session.items if item.path == Path(__file__)]
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn")) as pool:
        yield {case: pool.submit(differences, case) for case in chosen}


@pytest.mark.parametrize("case", CASES or ["none"])
def test_the_embedded_engine_does_what_the_official_cli_did(case: str, found: dict[str, Future[list[str]]]) -> None:
    assert found[case].result() == []
