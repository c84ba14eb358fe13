"""A stack's whole config, as `infra/__main__.py` reads it, and the JSON Schema that editors check the file against."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from heliostat.spec.base import Model
from heliostat.spec.platform import LocalPlatform
from heliostat.spec.workload import Workloads

PROJECT = "heliostat"
SECTIONS = ("platform", "platformStack", "workloads")


class Stack(Model):
    """What one environment declares: a platform, workloads, or both."""

    platform: LocalPlatform | None = None
    platform_stack: str | None = Field(default=None, pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+$")
    """The stack that made the platform, as `organization/project/stack`, where it is not this one."""
    workloads: Workloads = {}

    @model_validator(mode="after")
    def _has_a_place_to_run(self) -> Self:
        if self.platform and self.platform_stack:
            raise ValueError("`platform` and `platformStack` exclude each other: a stack makes its platform or names one")
        if self.workloads and not (self.platform or self.platform_stack):
            raise ValueError("`workloads` need a platform: declare `platform`, or name a stack in `platformStack`")
        if not (self.platform or self.platform_stack):
            raise ValueError("the stack declares nothing: give it a `platform`, `workloads`, or both")
        return self


class ConfigError(ValueError):
    """A stack's config does not fit; its text lists every mistake with its path."""


def parse(sections: Mapping[str, Any], file: str, workloads: Collection[str]) -> Stack:
    """The stack that `sections` (by name: `platform`, ...) declare, of the `workloads` that there are.

    Raises:
        ConfigError: with every mistake, each on a line with `file` and the path in it.
    """
    mistakes = _unknown_workloads(sections, workloads)
    try:
        stack = Stack.model_validate(sections)
    except ValidationError as error:
        mistakes += [f"{path_of(in_file(e['loc'], sections))}: {_said(e)}" for e in error.errors(include_url=False)]
    if mistakes:
        count = f"{len(mistakes)} mistake" + ("s" if len(mistakes) > 1 else "")
        raise ConfigError("\n".join([f"{count} in {file}:", *(f"  {file}: {mistake}" for mistake in mistakes)]))
    return stack


def _unknown_workloads(sections: Mapping[str, Any], known: Collection[str]) -> list[str]:
    declared = sections.get("workloads")
    names = declared if isinstance(declared, Mapping) else ()
    return [
        f"{path_of(('workloads', name))}: there is no such workload (there are: {', '.join(known) or 'none'}): "
        f"make the folder workloads/{name.replace('-', '_')} with a workload.py, or correct the name"
        for name in names
        if name not in known
    ]


def in_file(location: tuple[int | str, ...], value: Any) -> tuple[int | str, ...]:
    """`location` without the tags that pydantic puts in for a chosen kind: `store.s3.bucket` is `store.bucket` in the file."""
    path: list[int | str] = []
    for part in location:
        if isinstance(value, Mapping) and part not in value and value.get("kind") == part:
            continue
        path.append(part)
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(path)


def path_of(location: tuple[int | str, ...]) -> str:
    """`('workloads', 'flights', 'gate', 'slices', 0)` as `heliostat:workloads.flights.gate.slices[0]`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{PROJECT}:{path.removeprefix('.')}" if path else "config"


_WORDS = {"missing": "is missing", "extra_forbidden": "there is no such key"}


def _said(error: Any) -> str:
    if error["type"] in _WORDS:
        return _WORDS[str(error["type"])]
    value = error.get("input")
    return str(error["msg"]) + ("" if isinstance(value, (dict, list)) else f" (given: {value!r})")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a `Pulumi.<stack>.yaml`, Pulumi's own keys included."""
    schema = Stack.model_json_schema(by_alias=True)
    properties = schema["properties"]
    config = {f"{PROJECT}:{name}": properties[name] for name in SECTIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Heliostat stack",
        "description": "A Pulumi.<stack>.yaml of this project. Made from heliostat.spec; do not edit.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "encryptionsalt": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "environment": {},
            "config": {
                "type": "object",
                "properties": config,
                "patternProperties": {f"^(?!{PROJECT}:)[^:]+:.+$": {}},
                "additionalProperties": False,
            },
        },
        "$defs": schema["$defs"],
    }


def schema_text() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"
