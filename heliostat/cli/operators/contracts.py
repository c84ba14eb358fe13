"""A workload's contract, from the code or the file that lies here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliostat.cli.exits import UsageError
from heliostat.cli.session import import_from
from heliostat.ml.contracts import Contract, load_entry_point
from heliostat.ml.mlflow_models.contracts import MODULE as OF_FILES
from heliostat.scaffold.rendering import module_of
from heliostat.spec.model_contracts import FILE
from heliostat.spec.proto import PROTO_FILE


def entry_point_of(root: Path, name: str, given: str | None) -> str:
    """The entry point of a workload's contract; without one `given`, that of its module, or of a model of others' file."""
    if given is not None:
        return given
    folder = module_of(name)
    place = root / "workloads" / folder
    if (place / FILE).is_file() and not (place / "contract.py").is_file():
        return f"{OF_FILES}:{folder}"
    return f"workloads.{folder}.contract:CONTRACT"


def contract_of(root: Path, entry_point: str) -> Contract[Any, Any]:
    """What an entry point below `root` names.

    Raises:
        UsageError: it cannot be imported, or is no contract.
    """
    import_from(root)
    try:
        found = load_entry_point(entry_point)
    except Exception as error:  # whatever the workload's code raises
        raise UsageError(f"{entry_point} cannot be imported: {type(error).__name__}: {error}") from None
    if not isinstance(found, Contract):
        raise UsageError(f"{entry_point} is a {type(found).__name__}: it must be a heliostat.ml.contracts.Contract")
    return found


def proto_path(root: Path, entry_point: str) -> Path:
    """Where the contract's own definition for gRPC lies: beside the module, or the file, that the contract stands in."""
    module, _, attribute = entry_point.partition(":")
    if module == OF_FILES:
        return root / "workloads" / attribute / PROTO_FILE
    return root.joinpath(*module.split(".")).with_name(PROTO_FILE)
