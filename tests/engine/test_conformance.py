"""Every recorded case of the official CLI, with the `heliostat` command and its embedded engine."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from heliostat.cli.main import run
from heliostat.engine.state import secrets

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "engine-conformance"
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.json"))
HELIOSTAT = Path(sys.executable).with_name("heliostat")
AT_ONCE = 2

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"the recorded cases are not there: {FOLDER}"),
    pytest.mark.timeout(900),
]


def compare() -> Any:
    """What runs a case and compares it, with commands that cost no process of their own.

    A case has ten commands. Only one that will be killed is a process; the programs and plugins of all of them are.
    """
    spec = importlib.util.spec_from_file_location("engine_conformance_compare", FOLDER / "compare.py")
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Run(module.Run):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            provider = self.root / "provider" / "__main__.py"  # it speaks the protocol, and needs no SDK for it
            provider.write_text(provider.read_text().replace("from pulumi.runtime.proto", "from heliostat.pulumi_proto"))

        def call(self, *args: str) -> subprocess.CompletedProcess[str]:
            stack = ("-s", "dev") if args[:2] != ("stack", "init") else ()
            out, err = io.StringIO(), io.StringIO()
            with (
                contextlib.chdir(self.work),
                mock.patch.dict(os.environ, self.env, clear=True),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = run([*args, *stack])
            return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())

        def operate(self, step: dict[str, Any]) -> tuple[int, str]:
            if "kill_on" in step:
                killed: tuple[int, str] = super().operate(step)
                return killed
            yes = module.YES if step["op"] != "preview" else []
            done = self.call(step["op"], *yes, "--parallel", "1", *step.get("args", []))
            return done.returncode, done.stdout + done.stderr

    module.Run = Run
    return module


def differences(case: str) -> list[str]:
    once = functools.cache(secrets._derive)  # a fifth of a second for each command of a case
    with mock.patch.object(secrets, "_derive", once):
        found: list[str] = compare().check(FOLDER / "cases", case, [str(HELIOSTAT), "--engine", "embedded"], sys.executable)
    return found


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[str]]]]:
    """What each chosen case finds different, with a few of them running at once.

    In processes: a case takes its process's environment and folder.
    """
    chosen = [item.callspec.params["case"] for item in request.session.items if item.path == Path(__file__)]
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn")) as pool:
        yield {case: pool.submit(differences, case) for case in chosen}


@pytest.mark.parametrize("case", CASES or ["none"])
def test_the_embedded_engine_does_what_the_official_cli_did(case: str, found: dict[str, Future[list[str]]]) -> None:
    assert found[case].result() == []
