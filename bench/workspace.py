"""A checkout of the bench's own, with a stack of its own: what a user has running is neither seen nor touched.

It lies in `.heliostat/bench` of the real checkout. Program, workloads and config are copies, so that they stay as they are
while somebody edits; library and virtual environment are the real ones.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.commands import Done, MeasurementError, run

STACK = "bench"
_COPIED = ("Pulumi.yaml", "heliostat.toml", "infra", "workloads", "scripts")
_LINKED = (".venv", "heliostat")
_CONFIG = "heliostat:{}"


class Workspace:
    """The checkout and its stack `bench`, whose config begins as a copy of `local`'s without its fixed ports."""

    def __init__(self, source: Path, root: Path, variables: Mapping[str, str] | None = None) -> None:
        self.source = source
        self.root = root
        self.data = root / ".heliostat" / "stacks" / STACK
        self.environment = {
            "PULUMI_BACKEND_URL": (root / ".heliostat" / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_HOME": str(root / ".pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "HELIOSTAT_ENGINE": "embedded",
            "NO_COLOR": "1",
            **(variables or {}),
        }

    def make(self) -> None:
        """Write it anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "configs").mkdir(parents=True)
        (self.root / ".heliostat" / "state").mkdir(parents=True)
        for name in _COPIED:
            original = self.source / name
            if original.is_dir():
                shutil.copytree(original, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif original.exists():  # an earlier build has not all of them
                shutil.copy2(original, self.root / name)
        for name in _LINKED:
            (self.root / name).symlink_to(self.source / name)
        config = yaml.safe_load((self.source / "configs" / "Pulumi.local.yaml").read_text())
        self._write_config(without_addresses(config))

    def edit(self, section: str, change: Callable[[Any], None]) -> None:
        """Let `change` work on a section (`workloads`) of the stack's config."""
        config = yaml.safe_load(self._config.read_text())
        change(config["config"][_CONFIG.format(section)])
        self._write_config(config)

    def heliostat(self, *arguments: str, seconds: float = 600) -> Done:
        """One command on the stack.

        Raises:
            MeasurementError: it failed.
        """
        return self.command([".venv/bin/heliostat", *arguments, "--stack", STACK], seconds)

    def command(self, argv: Sequence[str], seconds: float = 600) -> Done:
        """A command of the checkout.

        Raises:
            MeasurementError: it failed.
        """
        return run([str(self.root / argv[0]), *argv[1:]], self.root, self.environment, seconds)

    def up(self, *flags: str, seconds: float = 600) -> Done:
        """`up` as `make up` runs it."""
        return self.heliostat("up", "--yes", "--skip-preview", *flags, seconds=seconds)

    def first_up(self) -> Done:
        """`make up` where nothing is: it ends with a prediction."""
        return self.command(["scripts/up", STACK], seconds=900)

    def down(self) -> None:
        """End its processes; what it made is kept where its config says so."""
        self.heliostat("destroy", "--yes", "--skip-preview", seconds=180)

    def outputs(self) -> Mapping[str, Any]:
        """The stack's outputs."""
        return dict(json.loads(self.heliostat("stack", "output", "--json", seconds=60).output))

    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The stack's resources by type, as its state has them: of each type the last."""
        exported = json.loads(self.heliostat("stack", "export", seconds=60).output)
        return {each["type"].rpartition(":")[2]: each for each in exported["deployment"].get("resources", [])}

    @property
    def _config(self) -> Path:
        return self.root / "configs" / f"Pulumi.{STACK}.yaml"

    def _write_config(self, config: Mapping[str, Any]) -> None:
        self._config.write_text(yaml.safe_dump(dict(config), sort_keys=False))


def without_addresses(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stack's config without fixed ports and places, which another stack may be using, and with data that goes with it."""
    platform = dict(config["config"][_CONFIG.format("platform")])
    for key in ("publicPort", "store", "tracking"):
        platform.pop(key, None)
    if "ray" in platform:
        platform["ray"] = {key: value for key, value in platform["ray"].items() if key != "dashboardPort"}
    platform["onDestroy"] = "delete"
    kept = {key: value for key, value in config.items() if key != "encryptionsalt"}
    return {**kept, "config": {**config["config"], _CONFIG.format("platform"): platform}}


def until(condition: Callable[[], bool], what: str, seconds: float, every: float = 0.2) -> float:
    """Wait for `condition`; the seconds that it took.

    Raises:
        MeasurementError: it never came true.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise MeasurementError(f"{what}: not within {seconds:g} s")
        time.sleep(every)
    return time.monotonic() - began
