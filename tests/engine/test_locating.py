"""Where a plugin is found: what the project names, else a command beside the program's Python, beside this one, or on PATH."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from engine_harness import PROVIDER, Lab

from heliostat.engine.protocol.launching import command_of
from heliostat.engine.protocol.locating import PluginPlaces


def plugin_in(folder: Path, package: str = "some") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "python").exists():
        (folder / "python").symlink_to(sys.executable)
    script = folder / f"pulumi-resource-{package}"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{PROVIDER}" "$@"\n')
    script.chmod(0o755)
    return folder


def test_a_plugin_is_looked_for_in_one_place_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "named"
    ways = [plugin_in(tmp_path / name) for name in ("environment/bin", "running", "path")]
    monkeypatch.setattr(sys, "executable", str(ways[1] / "python"))

    def found(said: dict[str, Path]) -> Path | None:
        return PluginPlaces.of(said, {"virtualenv": "environment"}, tmp_path, {"PATH": f"/nowhere:{ways[2]}"}).find("some")

    assert found({"some": named}) == named, "the project's word counts, whether something is there or not"
    for folder in ways:
        assert found({"other": named}) == folder
        (folder / "pulumi-resource-some").unlink()
    assert found({}) is None


def test_a_program_without_a_python_of_its_own_hides_no_plugin(tmp_path: Path) -> None:
    folder = plugin_in(tmp_path / "path")
    assert PluginPlaces.of({}, {"virtualenv": "gone"}, tmp_path, {"PATH": str(folder)}).find("some") == folder


def test_a_file_that_cannot_be_run_is_no_plugin(tmp_path: Path) -> None:
    folder = plugin_in(tmp_path / "path")
    (folder / "pulumi-resource-some").chmod(0o644)
    assert PluginPlaces.of({}, {}, tmp_path, {"PATH": str(folder)}).find("some") is None


def test_the_library_s_own_plugin_is_installed_beside_its_python() -> None:
    folder = PluginPlaces.of({}, {}, Path.cwd(), {}).find("heliostat")
    assert folder == Path(sys.executable).parent
    assert command_of("heliostat", folder, {})[0] == [str(folder / "pulumi-resource-heliostat")]


async def test_a_program_uses_a_plugin_that_its_project_does_not_name(lab: Lab, tmp_path: Path) -> None:
    lab.plugins = {}
    lab.environment["PATH"] = f"{plugin_in(tmp_path / 'path', 'lab')}:/usr/bin:/bin"
    assert (await lab.up("Lab('a', v=1)")).succeeded, lab.said("error")
    assert (await lab.up("Lab('a', v=2)")).succeeded, lab.said("error")
    assert lab.calls("update") == ["update a"]


async def test_a_provider_without_a_plugin_is_an_error_that_says_where_it_was_looked_for(lab: Lab) -> None:
    lab.plugins = {}
    lab.environment["PATH"] = "/usr/bin:/bin"
    assert not (await lab.up("Lab('a', v=1)")).succeeded
    assert "no pulumi-resource-lab lies beside the program's Python or on PATH" in lab.said("error")
