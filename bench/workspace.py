"""A checkout of the bench's own, with a stack of its own: what a user has running is neither seen nor touched.

It lies in `.heliostat/bench` of the real checkout. Program, workloads and config are copies, so that they stay as they are
while somebody edits; library and virtual environment are the real ones.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.commands import MeasurementError
from heliostat.testing import CommandResult, LocalStack
from heliostat.testing.stack_configs import sections_of, stack_file

STACK = "local"
_COPIED = frozenset({"Pulumi.yaml", "heliostat.toml", "configs", "infra", "workloads", "scripts"})
_LINKED = ("heliostat",)


class Workspace(LocalStack):
    """The checkout and its stack, whose config begins as a copy of `local`'s without its fixed ports.

    What fails raises `heliostat.testing.CommandError`.
    """

    def __init__(self, source: Path, root: Path, variables: Mapping[str, str] | None = None) -> None:
        others = {each.name for each in source.iterdir()} - _COPIED
        own = {"PULUMI_CONFIG_PASSPHRASE": STACK, "PULUMI_HOME": str(root / ".pulumi"), "PULUMI_SKIP_UPDATE_CHECK": "true"}
        environment = {**own, **(variables or {})}
        super().__init__(source, stack=STACK, folder=root, exclude=others, link=_LINKED, environment=environment)

    def make(self) -> None:
        """Write it anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        super().make()

    def edit(self, section: str, change: Callable[[Any], None]) -> None:
        """Let `change` work on a section (`workloads`) of the stack's config."""
        changed = sections_of(stack_file(self.root, STACK))[section]
        change(changed)
        self.configure({section: None})
        self.configure({section: changed})

    def first_up(self) -> CommandResult:
        """`make up` where nothing is: it ends with a prediction."""
        return self.run(["scripts/up", STACK], seconds=900)

    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The stack's resources by type, as its state has them: of each type the last."""
        exported = json.loads(self.heliostat("stack", "export", "--stack", STACK, seconds=60).output)
        return {each["type"].rpartition(":")[2]: each for each in exported["deployment"].get("resources", [])}


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
