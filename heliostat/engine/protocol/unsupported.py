"""What programs may ask of an engine and this one cannot do: refused by name, with the reason and the way out; all pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

CLI = "use the official CLI for this program"
_PARAMETERIZED = (
    f"a parameterized package (packageRef): the embedded engine hosts plugins as Pulumi.yaml names them, and parameterizes "
    f"none; {CLI}"
)
REFUSED = {
    "remote": f"a component of a plugin (remote): the embedded engine runs components in the program itself only; {CLI}",
    "packageRef": _PARAMETERIZED,
    "pluginChecksums": f"checksums of a plugin: the embedded engine downloads no plugin that it could check; {CLI}",
    "state_migrations": f"state_migrations: the embedded engine moves no state; rename with `aliases` instead, or {CLI}",
}
"""Fields of a request that no value but the empty one may have."""


def refusal(request: Any, taken: Collection[str] = ()) -> str:
    """What of a request cannot be done, but for the fields `taken`, and what to do; empty where all of it can."""
    refused = REFUSED.keys() - set(taken)
    names = [field.name for field in request.DESCRIPTOR.fields if field.name in refused and getattr(request, field.name)]
    reasons = "; ".join(REFUSED[name] for name in names)
    what = getattr(request, "type", "") or getattr(request, "tok", "")
    return f"{what} asks for {reasons}" if reasons else ""


METHODS = {
    "Call": f"methods of a plugin's component are not hosted by the embedded engine; {CLI}",
    "ExistsResource": "whether a resource exists is not told by the embedded engine; read it with `get`, which fails where it "
    "does not exist, or use a function of its provider",
    "RegisterPackage": f"this program uses {_PARAMETERIZED}",
}
"""Calls that are not answered at all."""
