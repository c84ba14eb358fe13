"""Runs the command line for a stack: with the official CLI where that does the work, with the embedded engine elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from heliostat.engine.config import project as projects
from heliostat.systems.errors import TRY_LATER, PermanentError, RetryableError

if TYPE_CHECKING:
    from heliostat.gitops.pull_requests import Previewed  # which brings what writes comments

TEMPLATE = "HELIOSTAT_TEMPLATE"
"""Names the template of the stack that a command works on: the policy packs that always run judge it as that one."""
CONTINUES = "HELIOSTAT_CONTINUES"
"""The commit of the update that an `up` does the rest of: where nothing is left of that under the lock, it does nothing."""
_TOLD = "HELIOSTAT_PLACE_TOLD"


class CommandFailedError(PermanentError):
    """A command failed; what it wrote stands on the terminal already."""


class WorkGoesOnError(RetryableError):
    """An update left work that goes on by itself, and did all that does not need it; what it left stands on the terminal."""


class StackCommands(Protocol):
    """Whoever brings stacks up and takes them down. Raises CommandFailedError."""

    def up(self, stack: str, config: Path, flags: Sequence[str]) -> None:
        """Bring a stack, which exists, to what its config declares.

        Raises:
            WorkGoesOnError: something goes on by itself.
        """

    def destroy(self, stack: str, config: Path) -> None:
        """Delete all its resources; the same once more does nothing."""


class CommandLine:
    """The `heliostat` of this installation, in the folder of a project; its output goes where ours does."""

    def __init__(self, root: Path, template: str = "", *, quiet: bool = False, without: Collection[str] = ()) -> None:
        """`without`: variables that its commands do not get."""
        self._root = root
        inherited = {name: value for name, value in os.environ.items() if name not in without}
        self._environment = {**inherited, **({TEMPLATE: template} if template else {}), _TOLD: "1"}
        self._quiet = quiet
        """Whether stdout is kept free, for JSON."""

    def up(self, stack: str, config: Path, flags: Sequence[str]) -> None:
        """`heliostat up`, without a question."""
        self._run("up", "--yes", "--skip-preview", "--stack", stack, "--config-file", str(config), *flags)

    def destroy(self, stack: str, config: Path) -> None:
        """`heliostat destroy`, without a question."""
        self._run("destroy", "--yes", "--skip-preview", "--stack", stack, "--config-file", str(config))

    def _run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "heliostat.cli.main", *arguments]
        sys.stdout.flush()
        ran = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=self._root,
            env={**self._environment, **(variables or {})},
            stdout=sys.stderr if self._quiet else None,
            check=False,
        )
        if ran.returncode == TRY_LATER:
            raise WorkGoesOnError(f"the update of {arguments[4]} goes on by itself; the next one does the rest")
        if ran.returncode:
            raise CommandFailedError(f"`heliostat {arguments[0]} --stack {arguments[4]}` ended with {ran.returncode}")

    def has_config(self, stack: str) -> bool:
        """Whether there is a config of it."""
        project = projects.load(projects.find(self._root))
        return project.stack_file(stack).is_file()

    def preview(self, stack: str, plan: Path) -> Previewed:
        """`heliostat preview --json`, with its plan; what it says to people goes on to our stderr as well."""
        from heliostat.gitops.pull_requests import Previewed

        command = [sys.executable, "-m", "heliostat.cli.main", "preview", "--json", "--stack", stack, "--save-plan", str(plan)]
        ran = subprocess.run(  # noqa: S603 - our own command
            command, cwd=self._root, env=self._environment, capture_output=True, text=True, errors="replace", check=False
        )
        sys.stderr.write(ran.stderr)
        try:
            document = json.loads(ran.stdout)
        except ValueError:
            document = {}
        return Previewed(document if isinstance(document, dict) else {}, ran.stderr or ran.stdout)

    def apply(self, stack: str, plan: Path | None, flags: Sequence[str], continues: str = "") -> None:
        """`heliostat up`, without a question, held to a plan where there is one; `continues` is the commit whose rest it does.

        Raises:
            WorkGoesOnError: something goes on by itself.
        """
        held = ["--plan", str(plan)] if plan is not None else []
        more = {CONTINUES: continues} if continues else {}
        self._run("up", "--yes", "--skip-preview", "--stack", stack, *held, *flags, variables=more)
