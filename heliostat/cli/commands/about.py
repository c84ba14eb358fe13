"""`heliostat about`: what works here, for a report or to see why something is as it is."""

from __future__ import annotations

import getpass
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.session import Place
from heliostat.cli.tables import table
from heliostat.engine.errors import EngineError
from heliostat.engine.state.secrets import PASSPHRASE

_DEPENDENCIES = ("pulumi", "ray", "mlflow-skinny", "mlflow", "lightgbm", "grpcio", "protobuf", "pydantic")
_SECRET_VARIABLES = frozenset({PASSPHRASE, "PULUMI_ACCESS_TOKEN"})


@click.command()
@options.as_json
@options.stack
@options.everywhere
def about(as_json: bool, stack: str | None) -> None:
    """Show the versions, the project, the stack, the backend and the variables that matter; no secret is among them."""
    found = _found(stack)
    if as_json:
        say.out(json.dumps(found, indent=2, ensure_ascii=False))
        return
    cli = found["cliAbout"]
    _section("CLI", {"Version": cli["version"], "Engine": cli["engine"], "Python": sys.version.split()[0]})
    for title, key in (("Host", "host"), ("Project", "project"), ("Current stack", "currentStack"), ("Backend", "backend")):
        _section(title, {name: value for name, value in (found[key] or {}).items() if not isinstance(value, list)})
    _listing("Resources", ("TYPE", "URN"), (found["currentStack"] or {}).get("resources", []))
    for title, heads in (
        ("Plugins", ("NAME", "VERSION")),
        ("Dependencies", ("NAME", "VERSION")),
        ("Environment", ("NAME", "VALUE")),
    ):
        _listing(title, heads, found[title.lower()])
    for error in found["errors"]:
        say.told(f"warning: {error}")


def _section(title: str, rows: Mapping[str, Any]) -> None:
    if rows:
        width = max(map(len, rows))
        lines = [f"    {name:<{width}}  {say.line(str(value))}" for name, value in rows.items()]
        say.out("\n".join([title, *lines, ""]))


def _listing(title: str, heads: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        say.out(f"{title}\n{table(heads, [[str(value) for value in one.values()] for one in rows], '    ')}\n")


def _found(stack: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cliAbout": {"version": metadata.version("heliostat"), "engine": "embedded"},
        "host": {"os": platform.system().lower(), "version": platform.release(), "arch": platform.machine()},
        "project": None,
        "currentStack": None,
        "backend": None,
        "plugins": [],
        "dependencies": _dependencies(),
        "environment": _environment(),
        "errors": [],
    }
    try:
        place = Place.here()
        if place.project:
            found["project"] = {
                "name": place.project.name,
                "file": str(place.project.file),
                "program": str(place.project.main),
            }
            found["plugins"] = [{"name": name, "version": str(folder)} for name, folder in place.project.plugins.items()]
        found["backend"] = {"name": platform.node(), "url": place.backend.bucket.url, "user": getpass.getuser()}
        found["currentStack"] = _stack(place, stack)
    except EngineError as error:
        found["errors"].append(str(error))
    return found


def _stack(place: Place, name: str | None) -> dict[str, Any]:
    ref = place.stack(name)
    deployment = place.backend.read(ref).deployment or {}
    resources = [{"type": one["type"], "urn": one["urn"]} for one in deployment.get("resources") or []]
    pending = [{"type": str(one["type"]), "urn": one["resource"]["urn"]} for one in deployment.get("pending_operations") or []]
    return {"name": ref.name, "fullyQualifiedName": ref.full_name, "resources": resources, "pendingOps": pending}


def _dependencies() -> list[dict[str, str]]:
    there = []
    for name in _DEPENDENCIES:
        try:
            there.append({"name": name, "version": metadata.version(name)})
        except metadata.PackageNotFoundError:
            continue
    return there


def _environment() -> list[dict[str, str]]:
    """The variables that change what the commands do; of a secret one, only that it is set."""
    names = sorted(name for name in os.environ if name.startswith(("PULUMI_", "HELIOSTAT_")))
    return [{"name": name, "value": "[secret]" if name in _SECRET_VARIABLES else os.environ[name]} for name in names]
