"""The plans of one operation: read, made, written; held against the config that they were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliostat.cli import say
from heliostat.cli.session import Session
from heliostat.engine.config.stackconfig import has_secret
from heliostat.engine.planning import planfile
from heliostat.engine.planning.plans import Plan
from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.checkpoint import Document
from heliostat.engine.state.secrets import Crypter


@dataclass(frozen=True)
class Plans:
    """The plans of a stack, with its state and its config as the operation begins with them."""

    session: Session
    document: Document
    values: Mapping[str, Any]

    def new(self) -> Plan:
        """An empty one, for a preview to fill."""
        return Plan(config=dict(self.values))

    def write(self, file: Path, plan: Plan) -> None:
        """Write one. Raises StackError where that cannot be done."""
        planfile.write(file, plan, self._crypter())
        say.told(f"The plan is in {file}; `heliostat up --plan {file}` does it and nothing else.")

    def read(self, file: Path) -> Plan:
        """Read one. Raises StackError where it is none, or of another config than the stack has now."""
        plan = planfile.read(file, self._crypter())
        self._require_same_config(file, plan.config)
        return plan

    def _require_same_config(self, file: Path, planned: Mapping[str, Any]) -> None:
        keys = sorted(key for key in {*planned, *self.values} if planned.get(key) != self.values.get(key))
        if not keys:
            return
        # A secret that was encrypted anew is another text, and may be the same.
        told = [f"{key}{' (a secret)' if has_secret(self.values.get(key)) else ''}" for key in keys]
        raise StackError(
            f"the config of the stack is not the one that {file} was planned with; what differs: {', '.join(told)}. "
            "Preview it again, and plan anew"
        )

    def _crypter(self) -> Crypter | None:
        salt = self.session.config.salt or self.document.salt
        return self.session.place.keyring.of(salt) if salt else None
