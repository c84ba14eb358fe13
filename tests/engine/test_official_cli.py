"""The official CLI beside the embedded engine, on one state: each goes on where the other ended. Needs the CLI on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_harness import PREAMBLE, PROVIDER

pytestmark = [
    pytest.mark.official_cli,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="the official Pulumi CLI is not on PATH"),
]
EMBEDDED = (str(Path(sys.executable).with_name("heliostat")), "--engine", "embedded")
OFFICIAL = ("pulumi",)
PROGRAM = """
v = int(pulumi.Config().require("v"))
code = pulumi.AssetArchive({"folder": pulumi.FileArchive("folder"), "text": pulumi.StringAsset("text")})
a = Lab("a", v=v, secret=pulumi.Output.secret("s"))
Lab("b", v=a.made, other=a, others=[a, Box("box")], code=code)
pulumi.export("made", a.made)
"""
YES = ("--yes", "--skip-preview", "--stack", "dev")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Runs an engine's command in a project with resources whose state each engine has to write as the other does."""
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    # Of a plugin without a virtual environment of its own the CLI looks for one in its folder.
    shutil.copytree(PROVIDER, tmp_path / "provider")
    (tmp_path / "provider" / "PulumiPlugin.yaml").write_text(f"runtime: {runtime}\n")
    plugins = f"{{providers: [{{name: lab, path: {tmp_path}/provider}}]}}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: shared\nruntime: {runtime}\nplugins: {plugins}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("content")
    (tmp_path / "__main__.py").write_text(f"{PREAMBLE}\n{PROGRAM}")
    (tmp_path / "state").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_"))}
    environment |= {
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "pass",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "LAB_GATE": str(tmp_path / "gate"),
        "LAB_LOG": str(tmp_path / "log"),
    }

    def call(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize(("first", "then"), [(OFFICIAL, EMBEDDED), (EMBEDDED, OFFICIAL)], ids=["cli first", "embedded first"])
def test_either_engine_goes_on_where_the_other_ended(run: Callable[..., str], first: list[str], then: list[str]) -> None:
    run(*first, "stack", "init", "dev")
    run(*first, "config", "set", "v", "1", "--stack", "dev")
    run(*first, "up", *YES)
    run(*then, "up", *YES, "--expect-no-changes")
    run(*then, "config", "set", "v", "2", "--stack", "dev")
    run(*then, "up", *YES)
    run(*first, "up", *YES, "--expect-no-changes")
    run(*first, "destroy", *YES)
    assert "made" not in run(*then, "stack", "output", "--stack", "dev")
