"""Python that declares resources, made of their state: what `import` prints for the program. Pure."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

from heliostat.engine.state.snapshot import Resource, Secret
from heliostat.engine.state.urns import name_of

_OURS = {"heliostat": "heliostat.resources"}
"""Packages whose classes are not in `pulumi_<package>`."""


def program(resources: Sequence[Resource]) -> str:
    """A program's lines for these resources; secrets are read from the config, and never written down."""
    packages = sorted({one.type.split(":", 1)[0] for one in resources})
    imports = [
        "import pulumi",
        *(f"import {_OURS.get(one, f'pulumi_{_identifier(one)}')} as {_identifier(one)}" for one in packages),
    ]
    secrets = any(_has_secret(one.inputs) for one in resources)
    config = ["", "config = pulumi.Config()"] if secrets else []
    return "\n".join([*imports, *config, "", *(_declaration(one) for one in resources)]) + "\n"


def _declaration(resource: Resource) -> str:
    name = name_of(resource.urn)
    package, module, kind = [*resource.type.split(":"), "", ""][:3]
    path = [_identifier(package), *(_identifier(part) for part in module.split("/")[:1] if part not in {"", "index"}), kind]
    lines = [
        f"    {_snake(key)}={_value(value, f'{_identifier(name)}_{_snake(key)}', 4)},"
        for key, value in resource.inputs.items()
    ]
    options = "protect=True" if resource.protect else ""
    lines += [f"    opts = pulumi.ResourceOptions({options})"] if options else []
    if not lines:
        return f"{_identifier(name)} = {'.'.join(path)}({json.dumps(name)})"
    last = lines[-1].removesuffix(",")
    return "\n".join([f"{_identifier(name)} = {'.'.join(path)}({json.dumps(name)},", *lines[:-1], f"{last})"])


def _value(value: Any, name: str, indent: int) -> str:
    pad = " " * (indent + 4)
    if isinstance(value, Secret):
        return f"config.require_secret({json.dumps(name)})"
    if isinstance(value, Mapping):
        inner = [
            f"{pad}{json.dumps(str(key))}: {_value(item, f'{name}_{_snake(str(key))}', indent + 4)},"
            for key, item in value.items()
        ]
        return "\n".join(["{", *inner, " " * indent + "}"]) if inner else "{}"
    if isinstance(value, list | tuple):
        inner = [f"{pad}{_value(item, f'{name}_{number}', indent + 4)}," for number, item in enumerate(value)]
        return "\n".join(["[", *inner, " " * indent + "]"]) if inner else "[]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _has_secret(value: Any) -> bool:
    if isinstance(value, Secret):
        return True
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(_has_secret(item) for item in inside)


def _snake(text: str) -> str:
    return _identifier(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower())


def _identifier(text: str) -> str:
    found = re.sub(r"\W", "_", text)
    found = f"_{found}" if not found or found[0].isdigit() else found
    return f"{found}_" if keyword.iskeyword(found) else found
