"""The commands as processes of their own: an environment with a secret of its template, and a plan that was saved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heliostat.spec.branch_environments import environment_name

NAME = environment_name("feature/x")
PROGRAM = """
import pulumi

config = pulumi.Config("heliostat")
if config.get("platformStack"):
    platform = pulumi.StackReference(config.require("platformStack")).require_output("platform")
    name = config.require_object("environment")["name"]
    pulumi.export("flights", {"url": pulumi.Output.concat(platform["publicUrl"], "/flights-", name)})
    pulumi.export("token", pulumi.Config().require_secret("token"))
else:
    pulumi.export("platform", {"publicUrl": config.require("url")})
"""
TEMPLATE = """\
config:
  heliostat:platformStack: organization/demo/platform
  heliostat:workloads: {flights: {}}
"""
Run = Callable[..., str]


@pytest.fixture
def heliostat(tmp_path: Path) -> Run:
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    backend = "backend: {url: 'file://./.heliostat/state'}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: demo\nruntime: {runtime}\nmain: infra\n{backend}\n")
    (tmp_path / "heliostat.toml").write_text('stack = "platform"\n[passphrases]\nplatform = "one"\npreview = "another"\n')
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/__main__.py").write_text(PROGRAM)
    (tmp_path / ".heliostat/state").mkdir(parents=True)
    (tmp_path / "Pulumi.platform.yaml").write_text("config:\n  heliostat:url: http://127.0.0.1:1\n")
    (tmp_path / "Pulumi.preview.yaml").write_text(TEMPLATE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_"))}
    environment |= {"PULUMI_HOME": f"{tmp_path}/home", "HELIOSTAT_ENGINE": "embedded"}

    def run(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "heliostat.cli.main", *arguments]
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout if code == 0 else ran.stderr + ran.stdout

    return run


def test_an_environment_has_the_secrets_of_its_template_and_goes_whole(heliostat: Run, tmp_path: Path):
    heliostat("stack", "init", "platform")
    heliostat("preview", "--save-plan", "plan.json")
    heliostat("up", "--yes", "--skip-preview", "--plan", "plan.json")
    (tmp_path / "Pulumi.platform.yaml").write_text(
        (tmp_path / "Pulumi.platform.yaml").read_text().replace("127.0.0.1:1", "127.0.0.1:9")
    )
    told = heliostat("up", "--yes", "--skip-preview", "--plan", "plan.json", code=1)
    assert "heliostat:url" in told and "plan anew" in told

    heliostat("stack", "init", "preview", "--no-select")
    heliostat("config", "set", "--secret", "token", "geheim", "-s", "preview")
    heliostat("stack", "rm", "preview", "--yes", "--preserve-config")
    said = json.loads(heliostat("env", "up", "--branch", "feature/x", "--json"))
    assert said["urls"] == {"flights": f"http://127.0.0.1:1/flights-{NAME}"}
    state = tmp_path / ".heliostat/state"
    assert not [path for path in state.rglob("*") if path.is_file() and b"geheim" in path.read_bytes()]
    assert list(state.glob(f".pulumi/stacks/demo/{NAME}.json"))

    heliostat("env", "down", "feature/x", "--yes")
    assert not [path for path in state.rglob("*") if path.is_file() and NAME in str(path)]
    assert not list((state / ".heliostat").rglob("*.json"))
    assert json.loads(heliostat("stack", "output", "--json"))["platform"] == {"publicUrl": "http://127.0.0.1:1"}
