"""This checkout's own stack, driven by the commands that the README names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliostat.testing import CommandResult, LocalStack

ROOT = Path(__file__).parents[2]
PARTS = {"Pulumi.yaml", "heliostat.toml", "infra", "workloads", "configs", "heliostat", "scripts"}


class Checkout(LocalStack):
    """The stack `local` of a copied checkout."""

    def __init__(self, folder: Path) -> None:
        others = {each.name for each in ROOT.iterdir()} - PARTS
        kept = {"platform": {"onDestroy": "keep"}}  # as a user's is
        # The copy's own modules, not those of the checkout that the environment was made for.
        super().__init__(ROOT, folder=folder, config=kept, exclude=others, environment={"PYTHONPATH": str(folder)})

    def flights(self, **changes: Any) -> None:
        """Change the config of `flights`, e.g. `training={"parameters": {...}}`."""
        self.configure({"workloads": {"flights": changes}})

    def tried(self, *arguments: str) -> CommandResult:
        """A command of the command line, however it ended."""
        return self.heliostat(*arguments, check=False)

    def make_up(self) -> CommandResult:
        """What `make up` runs, the prediction at its end included, however it ended."""
        return self.run(["scripts/up", "local"], check=False)
