"""The program that a Ray node starts before each worker does what Ray's own does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliostat.systems import ray_worker_setup

LANGUAGE = "--language=PYTHON"
OF_RAY = "RAY_CLIENT_MODE"
"""Ray sets this to 0 as it is imported, in a worker as well."""
SHOW = "import json, os, sys; print(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]))"


@pytest.fixture(scope="module")
def rays_own() -> str:
    workers = pytest.importorskip("ray._private.workers")
    return str(Path(workers.__path__[0], "setup_worker.py"))


@pytest.fixture
def worker(tmp_path: Path) -> str:
    file = tmp_path / "a worker.py"
    file.write_text(SHOW)
    return str(file)


def shown(program: str, rays_own: str, *arguments: str) -> Any:
    """What a worker sees that `program` starts."""
    environment = {"PATH": os.environ["PATH"], "GIVEN": "given", "HOME": "/", ray_worker_setup.RAYS_OWN: rays_own}
    done = subprocess.run([sys.executable, program, *arguments], env=environment, capture_output=True, text=True, check=True)
    argv, folder, variables = json.loads(done.stdout)
    variables.pop(OF_RAY, None)
    return argv, folder, variables


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"env_vars": {"A": "$GIVEN/${GIVEN}", "B": "${UNKNOWN}x$UNKNOWN ${unknown}", "C": "${A}", "PATH": "/first:${PATH}"}},
        {"command_prefix": ["cd", "/tmp", "&&"], "env_vars": {}, "py_executable": None, "java_jars": []},
        {"py_executable": f"{sys.executable} -u"},
    ],
)
def test_a_worker_sees_the_same_as_from_ray_s_own_program(rays_own: str, worker: str, context: Any) -> None:
    told = [] if context is None else [f"--serialized-runtime-env-context={json.dumps(context)}"]
    arguments = [worker, "--an-option=a 'b' $GIVEN", LANGUAGE, *told]
    assert shown(ray_worker_setup.__file__, rays_own, *arguments) == shown(rays_own, rays_own, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["Main", "--language=JAVA"],
        ["worker.py"],
        ["worker.py", LANGUAGE, '--serialized-runtime-env-context={"override_worker_entrypoint": "/other.py"}'],
        ["worker.py", LANGUAGE, '--serialized-runtime-env-context={"something_new": 1}'],
    ],
)
def test_what_it_does_not_know_is_left_to_ray_s_own_program(tmp_path: Path, arguments: list[str]) -> None:
    assert ray_worker_setup.command(arguments, {}) is None
    own = tmp_path / "own.py"
    own.write_text(SHOW)
    assert shown(ray_worker_setup.__file__, str(own), *arguments)[0] == [str(own), *arguments]


def test_a_worker_costs_no_import_of_ray() -> None:
    code = f"import runpy, sys; runpy.run_path({ray_worker_setup.__file__!r}); print([m for m in sys.modules if 'ray' in m])"
    done = subprocess.run([sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
