"""Holds manifests against what Kubernetes' own client and KubeRay's definitions know: any other key is a mistake."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import models

SHARED = Path(os.environ.get("HELIOSTAT_SHARED") or Path(__file__).parents[3] / "shared")
"""What lies beside the checkout where there is a node to test on."""
DEFINITIONS = SHARED / "data" / "kuberay-crds"


_SCALARS = {"str": str, "int": int, "bool": bool, "string": str, "integer": int, "boolean": bool}
"""As Kubernetes' client calls them, and as definitions do."""


def mistakes_in(manifest: Mapping[str, Any]) -> list[str]:
    """Keys of a built-in kind that Kubernetes does not know, and values of another type."""
    kind = manifest["kind"]
    model = getattr(models, f"V1{kind}")
    return list(_of_model(manifest, model, kind))


def _of_model(value: Any, model: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} is {value!r}, and no {model.__name__}"
        return
    types = {wire: model.openapi_types[name] for name, wire in model.attribute_map.items()}
    for key, each in value.items():
        if key not in types:
            yield f"{path}.{key} is not known"
        else:
            yield from _of_type(each, types[key], f"{path}.{key}")


def _of_type(value: Any, kind: str, path: str) -> Iterator[str]:
    if listed := re.fullmatch(r"List\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for number, each in enumerate(value):
            yield from _of_type(each, listed[1], f"{path}[{number}]")
    elif mapped := re.fullmatch(r"Dict\[str, (.+)\]", kind):
        for key, each in value.items():
            yield from _of_type(each, mapped[1], f"{path}.{key}")
    elif model := getattr(models, kind, None):
        # Ports and quantities are numbers or texts.
        if kind not in ("IntOrString", "ResourceQuantity"):
            yield from _of_model(value, model, path)
    elif kind in _SCALARS and type(value) is not _SCALARS[kind]:
        yield f"{path} is {value!r}, and no {kind}"


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""These definitions are long: libyaml reads one in a tenth of the time."""


def definition(name: str) -> dict[str, Any]:
    """The schema of a kind of KubeRay's, as an API server holds objects against it."""
    document = yaml.load((DEFINITIONS / f"ray.io_{name}.yaml").read_text(), _LOADER)
    found = next(each for each in document["spec"]["versions"] if each["name"] == "v1")
    return dict(found["schema"]["openAPIV3Schema"])


def mistakes_by_definition(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What an API server would refuse by strict validation."""
    if schema.get("x-kubernetes-int-or-string"):
        return
    kind = schema.get("type")
    if kind == "object":
        yield from _of_object(value, schema, path)
    elif kind == "array":
        for number, each in enumerate(value):
            yield from mistakes_by_definition(each, schema["items"], f"{path}[{number}]")
    elif kind in _SCALARS and type(value) is not _SCALARS[str(kind)]:
        yield f"{path} is {value!r}, and no {kind}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}, and none of {schema['enum']}"


def _of_object(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} is {value!r}, and no object"
        return
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{path}.{key} is missing"
    for key, each in value.items():
        if key in known:
            yield from mistakes_by_definition(each, known[key], f"{path}.{key}")
        elif isinstance(others, Mapping):
            yield from mistakes_by_definition(each, others, f"{path}.{key}")
        elif known and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{key} is not known"
