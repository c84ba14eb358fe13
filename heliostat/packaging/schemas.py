"""Schemas of rows and answers: their digest, and what differs between two of them. Pure; a copy of it is in each package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_WORDS: Final = frozenset({"title", "description", "examples"})
"""What is said about a field, and decides nothing of what fits."""
_BY_NAME: Final = frozenset({"properties", "$defs", "patternProperties"})
"""Keywords whose keys are names, so that a field may be called `title`."""


def row_schema(row: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a row type, as a request has it, without prose."""
    return _plain(row.model_json_schema(by_alias=True, mode="validation"))


def answer_schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of an answer's type, without prose."""
    return _plain(answer.model_json_schema(by_alias=True, mode="serialization"))


def digest_of(schema: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON Schema; what it says in prose does not count."""
    text = json.dumps(_plain(schema), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """What differs between two schemas of objects, in words by field; where all fields are alike, by `(row)`."""
    here, there = _fields(ours), _fields(given)
    found = dict.fromkeys(sorted(there.keys() - here.keys()), "is not known here")
    found |= {name: f"is missing; here it is {_shown(here[name])}" for name in sorted(here.keys() - there.keys())}
    for name in sorted(here.keys() & there.keys()):
        if here[name] != there[name]:
            found[name] = f"is {_shown(there[name])}; here it is {_shown(here[name])}"
    if not found and digest_of(ours) != digest_of(given):
        found["(row)"] = "is checked otherwise as a whole"
    return found


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema's fields with all that their types refer to, and whether each must be there."""
    plain = _plain(schema)
    required, definitions = plain.get("required", ()), plain.get("$defs", {})
    fields = plain.get("properties", {})
    return {name: {**_resolved(each, definitions, ()), "required": name in required} for name, each in fields.items()}


def _resolved(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_resolved(each, definitions, inside) for each in node]
    if not isinstance(node, Mapping):
        return node
    name = str(node.get("$ref", "")).rpartition("/")[2]
    if name in definitions and name not in inside:  # a type within itself has no end
        return _resolved(definitions[name], definitions, (*inside, name))
    return {key: _resolved(each, definitions, inside) for key, each in node.items()}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _WORDS:
            continue
        if key in _BY_NAME and isinstance(value, Mapping):
            kept[key] = {name: _of(each) for name, each in value.items()}
        else:
            kept[key] = _of(value)
    return kept


def _of(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain(value)
    return [_of(each) for each in value] if isinstance(value, list) else value


_LONGEST: Final = 120


def _shown(field: Mapping[str, Any]) -> str:
    said = {key: value for key, value in field.items() if key != "required"}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return text if field.get("required") else f"{text} or left out"
