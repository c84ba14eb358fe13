"""A copy of the project on a machine that has a kubeconfig, and nothing else of the cluster."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.kubernetes.node import ADDRESS, API_PORT, Node
from tests.kubernetes.site import CREDENTIALS
from tests.network.lan import Machine

ROOT = Path(__file__).parents[2]
_APPLYING = Path(__file__).with_name("applying")
_PARTS = ("Pulumi.yaml", "infra", "workloads", "configs", "heliostat")
_DROPPED = (
    "RAY_",
    "MLFLOW_",
    "AWS_",
    "PULUMI_",
    "HELIOSTAT_",
    "KUBE",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)
_UP_SECONDS = 1800


class Checkout:
    """One that several stacks are driven from, with the state in a folder of its own."""

    def __init__(self, node: Node, machine: Machine, folder: Path) -> None:
        self.machine, self.root = machine, folder / "checkout"
        self.root.mkdir()
        for part in _PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.root / part)
        (self.root / ".venv").symlink_to(ROOT / ".venv")
        project = self.root / "Pulumi.yaml"
        project.write_text(project.read_text().rstrip() + f"\n    - name: kubernetes\n      path: {_APPLYING}\n")
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(_elsewhere(node.kubeconfig.read_text()))
        kubeconfig.chmod(0o600)
        runtime = folder / "run"
        runtime.mkdir()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
        self.environment = {
            **inherited,
            **CREDENTIALS,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PULUMI_CONFIG_PASSPHRASE": "pass",
            "HELIOSTAT_ENGINE": "embedded",
            "KUBECONFIG": str(kubeconfig),
            "KUBECTL": str(node.kubectl),
            "TMPDIR": str(runtime),
            # Another machine's API server is called without a proxy of the environment.
            "no_proxy": "*",
        }

    def declare(self, stack: str, config: dict[str, Any]) -> None:
        """Write a stack's config."""
        text = "".join(f"  heliostat:{key}: {json.dumps(value)}\n" for key, value in config.items())
        (self.root / "configs" / f"Pulumi.{stack}.yaml").write_text(f"config:\n{text}")

    def __call__(self, stack: str, *arguments: str, code: int = 0) -> str:
        """Run a command of the command line; what it printed."""
        command = [sys.executable, "-m", "heliostat.cli.main", *arguments, "-s", stack]
        done = self.machine.run(command, self.environment, self.root, seconds=_UP_SECONDS)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, stack: str) -> str:
        """Make it as its config has it."""
        return self(stack, "up", "--yes", "--skip-preview")

    def outputs(self, stack: str) -> dict[str, Any]:
        """What it exports."""
        return dict(json.loads(self(stack, "stack", "output", "--json")))


def _elsewhere(kubeconfig: str) -> str:
    """A node's kubeconfig, which names loopback, as another machine of its network has it."""
    import re

    return re.sub(r"https://127\.0\.0\.1:\d+", f"https://{ADDRESS}:{API_PORT}", kubeconfig)
