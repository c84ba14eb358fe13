"""Plugins as processes: the Python that they run in, and what the official CLI asks of each, which has to be answered."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from engine_harness import PROVIDER
from google.protobuf import empty_pb2

from heliostat.engine.protocol.launching import command_of
from heliostat.engine.protocol.plugins import Plugin, Surroundings

ROOT = Path(__file__).resolve().parents[2]


def plugin_folder(folder: Path, described: str) -> Path:
    (folder / "PulumiPlugin.yaml").write_text(described)
    (folder / "__main__.py").touch()
    return folder


def python_of(environment: Path) -> Path:
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    return environment / "bin" / "python"


def test_a_plugin_runs_in_the_virtual_environment_that_it_names_else_in_its_own_else_in_this_one(tmp_path: Path) -> None:
    plugin_folder(tmp_path, "runtime: python\n")
    assert command_of("x", tmp_path, {})[0][0] == sys.executable
    own, named = python_of(tmp_path / "venv"), python_of(tmp_path / "named")
    command, environment = command_of("x", tmp_path, {})
    assert (command[0], environment["VIRTUAL_ENV"]) == (str(own), str(tmp_path / "venv"))
    plugin_folder(tmp_path, "runtime: {name: python, options: {virtualenv: named}}\n")
    assert command_of("x", tmp_path, {})[0][0] == str(named)


@pytest.mark.parametrize(
    "folder", [PROVIDER, ROOT / "heliostat/provider", ROOT / "bench/items"], ids=["lab", "heliostat", "items"]
)
async def test_every_plugin_tells_its_version_as_the_official_cli_asks_before_anything_else(folder: Path) -> None:
    around = Surroundings("127.0.0.1:9", Path.cwd(), os.environ, 60.0, lambda line: None)
    plugin = await Plugin.launch("some", folder, around)
    try:
        answer = await plugin.call("GetPluginInfo", empty_pb2.Empty())
    finally:
        await plugin.close()
    assert re.fullmatch(r"\d+\.\d+\.\d+", answer.version)
