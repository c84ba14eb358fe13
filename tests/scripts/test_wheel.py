"""What others install: the wheel, built offline from a copy of the sources."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from heliostat import __version__
from tests.installed import LEFT_BY_TOOLS, ROOT, environment_with, run, wheel_in


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_in(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(built: Path) -> frozenset[str]:
    """The names of the wheel's files."""
    with zipfile.ZipFile(built) as archive:
        return frozenset(archive.namelist())


@pytest.fixture(scope="module")
def bin_folder(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_with(built, tmp_path_factory.mktemp("environment"))


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


def test_what_the_wheel_installs_makes_a_repository_and_previews_it(bin_folder: Path, tmp_path: Path) -> None:
    where = run(bin_folder / "python", tmp_path, "-c", "import heliostat; print(heliostat.__file__)")
    assert where.startswith(str(bin_folder.parent)), "this checkout is not what is tried"
    run(bin_folder / "heliostat", tmp_path, "new", "mine")
    assert (tmp_path / "mine/.venv").resolve() == bin_folder.parent
    assert (tmp_path / "mine/.gitignore").is_file()
    assert "11 to create" in run(bin_folder / "heliostat", tmp_path / "mine", "preview")
