"""The package's schema in Pulumi's metaschema, made from the handlers' models. Pure but for loading the handlers."""

from __future__ import annotations

import inspect
import json
from typing import Any

from heliostat import __version__
from heliostat.provider import registry
from heliostat.spec.base import Model
from heliostat.spec.describing import Described

_PRIMITIVES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
_TYPES = "#/types/heliostat:index:"


def schema_text() -> str:
    """The schema of the package, as JSON."""
    return json.dumps(schema(), indent=2)


def schema() -> dict[str, Any]:
    """The schema of the package: every resource type, and the types that their properties share."""
    types: dict[str, Any] = {}
    return {
        "name": "heliostat",
        "displayName": "Heliostat",
        "version": __version__,
        "description": "Machine learning on Ray, declared: data, trainings, model versions, applications and their platform.",
        "license": "Apache-2.0",
        "keywords": ["machine-learning", "ray", "mlflow"],
        "resources": {token: _resource(registry.handler_of(token), types) for token in registry.HANDLERS},
        "types": types,
    }


def _resource(handler: Any, types: dict[str, Any]) -> dict[str, Any]:
    inputs = _object(handler.inputs, "validation", types)
    outputs = _object(handler.outputs, "serialization", types)
    for name in handler.secret_outputs:
        outputs["properties"][name]["secret"] = True
    return {
        "description": inspect.cleandoc(handler.inputs.__doc__ or ""),
        "inputProperties": inputs["properties"],
        "requiredInputs": inputs["required"],
        "properties": outputs["properties"],
        "required": outputs["required"],
    }


def _object(model: type[Model], mode: Any, types: dict[str, Any]) -> dict[str, Any]:
    found = model.model_json_schema(by_alias=True, mode=mode, schema_generator=Described)
    for name, definition in found.get("$defs", {}).items():
        types.setdefault(f"heliostat:index:{name}", _definition(definition))
    return _members(found)


def _definition(found: dict[str, Any]) -> dict[str, Any]:
    described = {"description": found["description"]} if "description" in found else {}
    if "enum" in found:
        return {"type": "string", **described, "enum": [{"value": value} for value in found["enum"]]}
    return {"type": "object", **described, **_members(found)}


def _members(found: dict[str, Any]) -> dict[str, Any]:
    """Properties, and which are required: those without a default, whatever pydantic says of its own output."""
    properties = {name: _property(value) for name, value in found.get("properties", {}).items()}
    optional = {name for name, value in found.get("properties", {}).items() if "default" in value or _nullable(value)}
    return {"properties": properties, "required": sorted(set(found.get("required", [])) - optional)}


def _property(value: dict[str, Any]) -> dict[str, Any]:
    shown = _type(value)
    if "description" in value:
        shown["description"] = value["description"]
    if isinstance(value.get("default"), (str, int, float, bool)):
        shown["default"] = value["default"]
    if isinstance(value.get("const"), str):
        shown["const"] = value["const"]
    return shown


def _type(value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in value:
        return {"$ref": _TYPES + value["$ref"].rpartition("/")[2]}
    choices = [choice for choice in value.get("anyOf", value.get("oneOf", [])) if choice.get("type") != "null"]
    if len(choices) == 1:
        return _type(choices[0])
    if choices:
        return {"oneOf": [_type(choice) for choice in choices]}
    kind = value.get("type")
    if kind == "array":
        return {"type": "array", "items": _type(value.get("items", {}))}
    if kind == "object":
        extra = value.get("additionalProperties")
        return {"type": "object", "additionalProperties": _type(extra if isinstance(extra, dict) else {})}
    return {"type": _PRIMITIVES[kind]} if kind in _PRIMITIVES else {"$ref": "pulumi.json#/Any"}


def _nullable(value: dict[str, Any]) -> bool:
    return any(choice.get("type") == "null" for choice in value.get("anyOf", ()))
