"""What tests of users import of the library, name by name: a change of this list is a change for everybody who has tests."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.scaffold import template

PROMISED = {
    "heliostat.testing": {
        "CommandError", "CommandResult", "LocalStack", "RolloutOutcome", "RolloutSimulation", "SimulatedEvent", "Traffic",
        "VersionBehaviour", "assert_answers", "assert_contract", "assert_workload", "desired", "load_stack", "simulate",
        "version",
    },
    "heliostat.testing.backends": {"MemoryRouter", "MemoryServing"},
    "heliostat.testing.conformance": {
        "BatchBrokerConformance", "JobRunnerConformance", "ObjectStoreConformance", "ServingBackendConformance",
        "TaskBrokerConformance", "TrafficRouterConformance",
    },
    "heliostat.testing.jobs": {"JobResult", "MemoryJobs", "Submission"},
}  # fmt: skip


@pytest.mark.parametrize("module", PROMISED)
def test_a_module_promises_what_is_listed_here_and_has_it(module: str) -> None:
    loaded = importlib.import_module(module)
    assert set(loaded.__all__) == PROMISED[module]
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


def test_the_tests_of_a_new_repository_import_nothing_else_of_it() -> None:
    imported = {
        (node.module, each.name)
        for path in Path(template.FOLDER, "tests").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("heliostat.testing")
        for each in node.names
    }
    assert ("heliostat.testing", "LocalStack") in imported
    assert {(module, name) for module, name in imported if name not in PROMISED.get(module or "", ())} == set()


def test_neither_a_test_runner_nor_linux_is_needed_but_for_the_suites_and_the_stack() -> None:
    modules = ", ".join(set(PROMISED) - {"heliostat.testing.conformance"})
    absent = "sys.modules.update({'pytest': None, 'heliostat.systems.processes': None})"
    code = f"import sys; {absent}; import {modules}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_examples_of_the_reference_do_what_they_say() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    known: dict[str, object] = {}
    for block in blocks:
        code = compile(block, "testing.md", "exec")
        if "simulat" in block.lower():
            exec(code, known)
    tests = [value for name, value in known.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()  # type: ignore[operator]
