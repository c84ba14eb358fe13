"""What others install: the wheel, built offline from a copy of the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from heliostat import __version__

ROOT = Path(__file__).parents[2]
LEFT_BY_TOOLS = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel. Built elsewhere: setuptools takes along what an earlier build left in the folder."""
    sources, folder = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in ("heliostat", "workloads", "tests", "docs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns(*LEFT_BY_TOOLS))
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    done = subprocess.run([*command, "--out-dir", folder, sources], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(built: Path) -> frozenset[str]:
    """The names of the wheel's files."""
    with zipfile.ZipFile(built) as archive:
        return frozenset(archive.namelist())


@pytest.fixture(scope="module")
def bin_folder(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with the wheel, which sees the packages of this one but for this checkout."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    command = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", place / "bin/python", built]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin"


def test_the_wheel_tells_type_checkers_that_it_has_types(wheel: frozenset[str]) -> None:
    assert "heliostat/py.typed" in wheel


def test_the_wheel_holds_every_file_of_the_package(wheel: frozenset[str]) -> None:
    files = {path for path in (ROOT / "heliostat").rglob("*") if path.is_file() and not {*LEFT_BY_TOOLS} & {*path.parts}}
    data = {path.suffix for path in files} - {".py"}
    assert {".html", ".typed", ".yaml"} <= data
    assert {str(path.relative_to(ROOT)) for path in files} - wheel == set()


def test_the_wheel_holds_the_library_alone(wheel: frozenset[str]) -> None:
    folders = {name.partition("/")[0] for name in wheel if not name.partition("/")[0].endswith(".dist-info")}
    assert folders == {"heliostat"}


def test_the_wheel_has_the_version_that_the_library_tells(wheel: frozenset[str]) -> None:
    assert f"heliostat-{__version__}.dist-info/METADATA" in wheel


def run(command: Path, folder: Path, *arguments: str) -> str:
    names = ("PULUMI_", "HELIOSTAT_", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    environment |= {"HELIOSTAT_ENGINE": "embedded"}
    done = subprocess.run([command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_the_wheel_installs_makes_a_repository_and_previews_it(bin_folder: Path, tmp_path: Path) -> None:
    where = run(bin_folder / "python", tmp_path, "-c", "import heliostat; print(heliostat.__file__)")
    assert where.startswith(str(bin_folder.parent)), "this checkout is not what is tried"
    run(bin_folder / "heliostat", tmp_path, "new", "mine")
    assert (tmp_path / "mine/.venv").resolve() == bin_folder.parent
    assert (tmp_path / "mine/.gitignore").is_file()
    assert "11 to create" in run(bin_folder / "heliostat", tmp_path / "mine", "preview")
