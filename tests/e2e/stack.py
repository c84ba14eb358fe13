"""A copy of the project in a folder of its own, and its `local` stack, driven by the command as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PARTS = ("Pulumi.yaml", "heliostat.toml", "infra", "workloads", "configs", "heliostat", "scripts")


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    text: str


class LocalStack:
    """The stack `local` of a copied checkout."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for part in PARTS:
            source = ROOT / part
            ignored = shutil.ignore_patterns("__pycache__", ".pulumi")
            shutil.copytree(source, folder / part, ignore=ignored) if source.is_dir() else shutil.copy(source, folder / part)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / ".heliostat" / "state").mkdir(parents=True)
        self.environment = {
            **os.environ,
            "HELIOSTAT_ENGINE": "embedded",
            "PULUMI_BACKEND_URL": f"file://{folder}/.heliostat/state",
            "PULUMI_CONFIG_PASSPHRASE": "local",
            # The copy's own modules, not those of the checkout that the environment was made for.
            "PYTHONPATH": str(folder),
        }

    def configure(self, **workload: Any) -> None:
        """Merge into the config of `flights`, e.g. `training={"parameters": {...}}`."""
        path, yaml = self.root / "configs" / "Pulumi.local.yaml", YAML()
        document = yaml.load(path.read_text())
        _merge(document["config"]["heliostat:workloads"]["flights"], workload)
        with path.open("w") as file:
            yaml.dump(document, file)

    def heliostat(self, *arguments: str) -> Done:
        """Run the command to its end."""
        done = self._run(arguments, stderr=subprocess.STDOUT)
        return Done(done.returncode, done.stdout)

    def _run(self, arguments: tuple[str, ...], stderr: int | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("heliostat")), *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=600
        )

    def up(self) -> Done:
        """What `make up` runs, the prediction at its end included."""
        done = subprocess.run(
            ["scripts/up", "local"],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return Done(done.returncode, done.stdout)

    def output(self, name: str) -> Any:
        """An output of the stack."""
        return json.loads(self._run(("stack", "output", "--json", "-s", "local")).stdout)[name]

    def predict(self) -> httpx.Response:
        """Ask for the contract's own example."""
        application = self.output("flights")
        openapi = httpx.get(application["openapiUrl"]).raise_for_status().json()
        content = openapi["paths"]["/flights/predict"]["post"]["requestBody"]["content"]["application/json"]
        example = content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]
        return httpx.post(f"{application['url']}/predict", json=example, timeout=30)

    def processes(self) -> list[psutil.Process]:
        """Every living process that the stack started: all that work below its folder or say so in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("HELIOSTAT_SERVICE")
                here = str(self.root) in " ".join(process.cmdline()) + str(process.environ().get("PYTHONPATH"))
            except psutil.Error:
                continue
            if marked and here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


def _merge(into: Any, changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and into.get(key) is not None:
            _merge(into[key], value)
        else:
            into[key] = value
