"""What others install: the wheel, built offline from a copy of the sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from heliostat import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names of the wheel's files. Built elsewhere: setuptools takes along what an earlier build left in the folder."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in ("heliostat", "workloads", "tests", "docs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    done = subprocess.run([*command, "--out-dir", built, sources], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return frozenset(archive.namelist())


def test_the_wheel_tells_type_checkers_that_it_has_types(wheel: frozenset[str]) -> None:
    assert "heliostat/py.typed" in wheel


def test_the_wheel_holds_every_file_of_the_package(wheel: frozenset[str]) -> None:
    files = {path for path in (ROOT / "heliostat").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    data = {path.suffix for path in files} - {".py"}
    assert {".html", ".typed", ".yaml"} <= data
    assert {str(path.relative_to(ROOT)) for path in files} - wheel == set()


def test_the_wheel_holds_the_library_alone(wheel: frozenset[str]) -> None:
    folders = {name.partition("/")[0] for name in wheel if not name.partition("/")[0].endswith(".dist-info")}
    assert folders == {"heliostat"}


def test_the_wheel_has_the_version_that_the_library_tells(wheel: frozenset[str]) -> None:
    assert f"heliostat-{__version__}.dist-info/METADATA" in wheel
