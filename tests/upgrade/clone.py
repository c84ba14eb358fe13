"""A clone of this repository with an environment and a stack of its own, which goes from commit to commit as a user's does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from heliostat.layout import data_folder
from heliostat.systems import processes
from tests.installed import variables

ROOT = Path(__file__).parents[2]
STACK = "local"
_REPLICA = "ray::ServeRepl"
_COMMAND_S = 1500


class Clone:
    """The clone. Where nothing else is said, a command of it has to succeed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        self._environment = {**variables(), "PULUMI_HOME": str(folder / "home"), "NO_COLOR": "1"}
        run(["git", "clone", "--quiet", "--no-checkout", ROOT, self.root], folder, self._environment)

    @property
    def data(self) -> Path:
        """The stack's data folder."""
        return data_folder(self.root, STACK)

    def at(self, commit: str) -> None:
        """Check a commit out, and bring the environment to its lock."""
        self.run("git", "checkout", "--quiet", "--detach", commit)
        self.run("scripts/setup")

    def run(self, *command: str) -> str:
        """What a command prints, its errors included."""
        return run(list(command), self.root, self._environment)

    def heliostat(self, *arguments: str) -> str:
        """What a `heliostat` command prints; it finds the stack by itself."""
        return self.run(".venv/bin/heliostat", *arguments)

    def json(self, *arguments: str) -> Any:
        """What a `heliostat` command says for programs."""
        command = [".venv/bin/heliostat", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=self.root, env=self._environment, capture_output=True, text=True, timeout=_COMMAND_S, check=True
        )
        return json.loads(done.stdout)

    def is_well(self) -> bool:
        """Whether every part is, and the application answers with all of its replicas."""
        command = [".venv/bin/heliostat", "status"]
        return subprocess.run(command, cwd=self.root, env=self._environment, capture_output=True).returncode == 0

    def serving(self, **settings: Any) -> None:
        """Set what the config says of how flights are served."""
        path, yaml = self.root / "configs" / f"Pulumi.{STACK}.yaml", YAML()
        document = yaml.load(path.read_text())
        document["config"]["heliostat:workloads"]["flights"]["serving"].update(settings)
        with path.open("w") as file:
            yaml.dump(document, file)

    def replicas(self) -> set[int]:
        """The processes of its replicas."""
        return {each.pid for each in processes.marked(self.data / "ray") if each.name().startswith(_REPLICA)}

    def services(self) -> dict[str, int]:
        """The process of each part of the platform, by the name of its record."""
        records = self.data.glob("*/*.pid.json")
        return {path.name.removesuffix(".pid.json"): int(json.loads(path.read_text())["pid"]) for path in records}

    def processes(self) -> list[psutil.Process]:
        """What runs of it, whoever started it."""
        found = []
        for process in psutil.process_iter():
            try:
                said = " ".join([*process.cmdline(), *process.environ().values()])
                if str(self.root) in said and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def remove(self) -> list[psutil.Process]:
        """Remove it, and end what still runs of it, which is told."""
        left = self.processes()
        for process in left:
            process.kill()
        shutil.rmtree(self.root, ignore_errors=True)
        return left


def run(command: list[str | Path], folder: Path, environment: dict[str, str]) -> str:
    """What a command prints, its errors included; it has to succeed. One that does not end is killed."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams) as process:
        try:
            text, _ = process.communicate(timeout=_COMMAND_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{text}"
    return text


def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for what no event tells."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)
