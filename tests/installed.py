"""The library as others install it: the wheel, built offline from a copy of the sources, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_BY_TOOLS = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")


def wheel_in(folder: Path) -> Path:
    """The wheel. Built elsewhere than here: setuptools takes along what an earlier build left in the folder."""
    sources = folder / "sources"
    sources.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in ("heliostat", "workloads", "tests", "docs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns(*LEFT_BY_TOOLS))
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    done = subprocess.run([*command, "--out-dir", folder, sources], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def environment_with(wheel: Path, place: Path) -> Path:
    """Where the commands of an environment lie that has the wheel, and sees the packages of this one but for this checkout."""
    venv.create(place, symlinks=True)
    install = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", place / "bin/python"]
    done = subprocess.run([*install, "--compile-bytecode", wheel], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin"


def variables() -> dict[str, str]:
    """Those that a user has whose shell knows nothing of this checkout."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_", "PYTHON"))}
    return {**found, "HELIOSTAT_ENGINE": "embedded"}


def run(command: Path, folder: Path, *arguments: str, timeout: float = 240) -> str:
    """What a command of that environment prints; it has to succeed."""
    done = subprocess.run(
        [command, *arguments], cwd=folder, env=variables(), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
