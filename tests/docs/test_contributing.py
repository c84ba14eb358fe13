"""CONTRIBUTING.md: the commands that it names can be run, and the files are where it says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_make_target_that_it_names_is_there() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b", TEXT))
    assert {"setup", "test", "docs", "lock", "schema"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"\b((?:heliostat|tests|scripts|bench|findings)/[\w/.]*\w)", TEXT))
    assert {"scripts/test", "heliostat/provider/registry.py", "tests/rollout/test_stages.py"} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_marker_that_it_names_is_declared() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    declared = {marker.partition(":")[0] for marker in settings["markers"]}
    assert set(re.findall(r' -m "?(?:not )?(\w+)', TEXT)) - {"pytest"} == declared
