"""References of models, made of their JSON Schema: each model a section, each key of it an entry.

A page has a model, and all that it leads to, in place of `<!-- models: package.module:Name -->`. They are Markdown, so that
titles and anchors are those of any other page, and a forge shows the comment to nobody.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from heliostat.spec import analysis, strategies, workload
from heliostat.spec.describing import Described
from heliostat.spec.platforms import base
from heliostat.spec.stack import Stack

_PLACE = re.compile(r"<!-- models: (\S+) -->")
Schema = Mapping[str, Any]

_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
_UNITS = {"Seconds": "seconds", "Ms": "milliseconds", "Mib": "MiB", "Bytes": "bytes", "Percentage": "percent"}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters or fewer",
    "minItems": "{} or more of them",
    "maxItems": "{} or fewer of them",
    "pattern": "matches `{}`",
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_: Sphinx, __: str, source: list[str]) -> None:
    source[0] = _PLACE.sub(lambda named: "\n".join(reference(pkgutil.resolve_name(named[1]))), source[0])


def reference(root: type[BaseModel]) -> Iterator[str]:
    """The sections' lines, in the order in which the models lead to each other. What a config can hold is described there."""
    models = _models(root)
    mentions = _mentions(models)
    elsewhere = set() if root is Stack else _models(Stack).keys()
    for name in _in_order(root.__name__, models):
        if name not in elsewhere:
            yield from _section(name, models[name], mentions.get(name, []))


def _models(root: type[BaseModel]) -> Mapping[str, Schema]:
    """The schema of a model and of each that it leads to, by name."""
    whole = root.model_json_schema(by_alias=True, schema_generator=Described)
    return {root.__name__: whole, **whole.get("$defs", {})}


def _in_order(first: str, models: Mapping[str, Schema]) -> list[str]:
    """Each model behind the one that leads to it first."""
    found: list[str] = []

    def follow(name: str) -> None:
        if name not in found:
            found.append(name)
            for field in models[name].get("properties", {}).values():
                for leads_to in _references(field):
                    follow(leads_to)

    follow(first)
    return found


def _references(schema: Any) -> Iterator[str]:
    """The models that a key's schema leads to."""
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for key, value in schema.items():
            if key not in ("default", "discriminator"):
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _mentions(models: Mapping[str, Schema]) -> dict[str, list[str]]:
    """By model: the keys that take one."""
    found: dict[str, list[str]] = {}
    for name, model in models.items():
        for key, field in model.get("properties", {}).items():
            for leads_to in dict.fromkeys(_references(field)):
                found.setdefault(leads_to, []).append(f"{name}.{key}")
    return found


def _section(name: str, model: Schema, mentions: list[str]) -> Iterator[str]:
    yield from (f"(model-{name.lower()})=", f"### {name}", "", model.get("description", ""), "")
    if mentions:
        kind = model.get("properties", {}).get("kind", {}).get("const")
        chosen = f", with `kind: {kind}`" if kind else ""
        yield from (f"Stands at {', '.join(f'{{confval}}`{each}`' for each in mentions)}{chosen}.", "")
    if "enum" in model:
        yield from _choices(name)
    for key, field in model.get("properties", {}).items():
        yield from _entry(name, key, field, required=key in model.get("required", ()))


def _entry(model: str, key: str, field: Schema, *, required: bool) -> Iterator[str]:
    schema, optional = _without_null(field)
    default = "unset" if optional and field.get("default") is None else _default(field.get("default"), schema)
    facts = ", ".join([_type(schema), *_unit(key), *_limits(schema)])
    facts += "; has to be given." if required else f"; by default {default}."
    yield from (f":::{{confval}} {model}.{key}", f"{facts[0].upper()}{facts[1:]}", "", field.get("description", ""), ":::", "")


def _without_null(field: Schema) -> tuple[Schema, bool]:
    """The schema of a value that is there, and whether it may be left out."""
    choices = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    return (choices[0], True) if len(choices) == 1 else (field, False)


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return _link(schema)
    if "oneOf" in schema:
        return "one of " + ", ".join(_link(each) for each in schema["oneOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{each}`" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list, each {_type(schema['items'])}"
    if schema.get("type") == "object":
        values = [schema["additionalProperties"]] if isinstance(schema.get("additionalProperties"), Mapping) else []
        return f"mapping of names to {_type((values or list(schema.get('patternProperties', {'': {}}).values()))[0])}"
    return _TYPES[schema["type"]] if "type" in schema else "any value"


def _link(schema: Schema) -> str:
    name = schema["$ref"].rpartition("/")[2]
    return f"[{name}](#model-{name.lower()})"


def _default(value: Any, schema: Schema) -> str:
    if isinstance(value, Mapping) and value:
        return f"`kind: {value['kind']}`, with its defaults" if "kind" in value else "its own defaults"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def _unit(key: str) -> list[str]:
    """The unit that a key's name ends with."""
    return [f"in {unit}" for end, unit in _UNITS.items() if key.endswith(end) or key == end.lower()]


def _limits(schema: Schema) -> list[str]:
    """The limits of a value, and of each that a list or a mapping holds."""
    found = [text.format(f"{schema[name]:g}" if isinstance(schema[name], float) else schema[name])
             for name, text in _LIMITS.items() if name in schema]  # fmt: skip
    for pattern in (schema.get("propertyNames", schema).get("pattern"), *schema.get("patternProperties", ())):
        if pattern and "pattern" not in schema:
            found.append(f"each name matches `{pattern}`")
    return found + [f"each {text}" for text in (_limits(schema["items"]) if "items" in schema else ())]


def _choices(name: str) -> Iterator[str]:
    """What each value of an enumeration means."""
    for module in (analysis, base, strategies, workload):
        kind = getattr(module, name, None)
        if inspect.isclass(kind) and issubclass(kind, Enum) and kind.__module__ == module.__name__:
            texts = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
            for member in kind:
                text = " ".join(texts.get((name, member.name), ())).strip()
                yield f"- `{member.value}`" + (f": {text}" if text else "")
            yield ""
