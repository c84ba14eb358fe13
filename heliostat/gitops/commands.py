"""Runs the command line for a stack: with the official CLI where that does the work, with the embedded engine elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from heliostat.systems.errors import PermanentError

TEMPLATE = "HELIOSTAT_TEMPLATE"
"""Names the template of the stack that a command works on: the policy packs that always run judge it as that one."""
_TOLD = "HELIOSTAT_PLACE_TOLD"


class CommandFailedError(PermanentError):
    """A command failed; what it wrote stands on the terminal already."""


class StackCommands(Protocol):
    """Whoever brings stacks up and takes them down. Raises CommandFailedError."""

    def up(self, stack: str, config: Path, flags: Sequence[str]) -> None:
        """Bring a stack, which exists, to what its config declares."""

    def destroy(self, stack: str, config: Path) -> None:
        """Delete all its resources; the same once more does nothing."""


class CommandLine:
    """The `heliostat` of this installation, in the folder of a project; its output goes where ours does."""

    def __init__(self, root: Path, template: str, *, quiet: bool = False) -> None:
        self._root = root
        self._environment = {**os.environ, TEMPLATE: template, _TOLD: "1"}
        self._quiet = quiet
        """Whether stdout is kept free, for JSON."""

    def up(self, stack: str, config: Path, flags: Sequence[str]) -> None:
        """`heliostat up`, without a question."""
        self._run("up", "--yes", "--skip-preview", "--stack", stack, "--config-file", str(config), *flags)

    def destroy(self, stack: str, config: Path) -> None:
        """`heliostat destroy`, without a question."""
        self._run("destroy", "--yes", "--skip-preview", "--stack", stack, "--config-file", str(config))

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "heliostat.cli.main", *arguments]
        sys.stdout.flush()
        ran = subprocess.run(  # noqa: S603 - our own command
            command, cwd=self._root, env=self._environment, stdout=sys.stderr if self._quiet else None, check=False
        )
        if ran.returncode:
            raise CommandFailedError(f"`heliostat {arguments[0]} --stack {arguments[4]}` ended with {ran.returncode}")
