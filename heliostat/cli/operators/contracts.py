"""A workload's contract, from the code that lies here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from heliostat.cli.exits import UsageError
from heliostat.ml.contracts import Contract, load_entry_point
from heliostat.scaffold.rendering import module_of


def entry_point_of(name: str, given: str | None) -> str:
    """The entry point of a workload's contract, by the usual names where none is given."""
    return given or f"workloads.{module_of(name)}.contract:CONTRACT"


def contract_of(root: Path, entry_point: str) -> Contract[Any, Any]:
    """What an entry point below `root` names.

    Raises:
        UsageError: it cannot be imported, or is no contract.
    """
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        found = load_entry_point(entry_point)
    except Exception as error:  # whatever the workload's code raises
        raise UsageError(f"{entry_point} cannot be imported: {type(error).__name__}: {error}") from None
    if not isinstance(found, Contract):
        raise UsageError(f"{entry_point} is a {type(found).__name__}: it must be a heliostat.ml.contracts.Contract")
    return found


def proto_path(root: Path, entry_point: str) -> Path:
    """Where the contract's own definition for gRPC lies."""
    from heliostat.spec.proto import PROTO_FILE

    return root.joinpath(*entry_point.partition(":")[0].split(".")).with_name(PROTO_FILE)
