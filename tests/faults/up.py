"""An `up` of one application: a project of its own with the embedded engine and the real plugin, as a user would run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import yaml

from bench.commands import MeasurementError, run, tail
from bench.session import SOURCE
from bench.tiny import CODE
from heliostat.spec.serving_resources import ApplicationInputs
from tests.faults.victims import Nothing, plugins_of
from tests.faults.world import World, settings_of

STACK = "faults"
_HELIOSTAT = str(SOURCE / ".venv" / "bin" / "heliostat")
_PROGRAM = Path(__file__).with_name("program")
_ENDS_S = 180.0


class Project:
    """A folder with a program, a stack and its state."""

    def __init__(self, world: World) -> None:
        self.root = world.folder / "project"
        self._world = world
        self.environment = {
            "PULUMI_BACKEND_URL": (self.root / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "faults",
            "PULUMI_HOME": str(self.root / ".pulumi"),
            "HELIOSTAT_ENGINE": "embedded",
            # It stays to the very end of a rollout, so that there is something to kill in each of its states.
            "HELIOSTAT_WAIT": "1",
            "NO_COLOR": "1",
        }

    def make(self) -> None:
        """Write it, once."""
        if self.root.exists():
            return
        shutil.copytree(_PROGRAM, self.root / "program", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "state").mkdir()
        described = {
            "name": STACK,
            "runtime": {"name": "python", "options": {"virtualenv": str(SOURCE / ".venv")}},
            "main": "program",
            "options": {"refresh": "always"},
            "plugins": {"providers": [{"name": "heliostat", "path": str(SOURCE / "heliostat" / "provider")}]},
        }
        (self.root / "Pulumi.yaml").write_text(yaml.safe_dump(described))
        run([_HELIOSTAT, "stack", "init", STACK], self.root, self.environment, 60)

    def declare(self, inputs: ApplicationInputs) -> None:
        """What the next `up` shall bring."""
        kept = inputs.model_dump(mode="json", by_alias=True, exclude_none=True)
        ray = self._world.settings.inputs.ray.model_dump(mode="json", by_alias=True)
        platform = {"ray": ray, "publicUrl": self._world.settings.public_url}
        text = json.dumps({**kept, **settings_of(self._world), **platform, "root": str(CODE)})
        (self.root / "program" / "declared.json").write_text(text)

    @contextmanager
    def up(self) -> Iterator[Up]:
        """An `up` at work; what is left of it ends with the block."""
        argv = [_HELIOSTAT, "up", "--yes", "--skip-preview", "--stack", STACK]
        log = self.root / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv, cwd=self.root, env={**os.environ, **self.environment}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield Up(process, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Up:
    """One `up`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self._process.poll() is None

    def kill(self) -> str:
        """SIGKILL to the `up` alone; its children are left to themselves.

        Raises:
            Nothing: it has ended.
        """
        if not self.runs:
            raise Nothing(f"the `up` had ended by itself:\n{self.output()}")
        self._process.kill()
        return "`up` (1 process)"

    def kill_plugin(self) -> str:
        """SIGKILL to its plugin.

        Raises:
            Nothing: it has none.
        """
        plugins = plugins_of(psutil.Process(self._process.pid)) if self.runs else []
        if not plugins:
            raise Nothing(f"the `up` has no plugin any more:\n{self.output()}")
        for plugin in plugins:
            plugin.kill()
        return f"plugin ({len(plugins)} process{'es' if len(plugins) > 1 else ''})"

    def ended(self) -> int:
        """Wait for its end; its exit code.

        Raises:
            MeasurementError: it does not end.
        """
        try:
            return self._process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"the `up` did not end within {_ENDS_S:g} s:\n{self.output()}") from None

    def output(self) -> str:
        """The last of what it printed."""
        return tail(self._log.read_text(errors="replace"), 15)
