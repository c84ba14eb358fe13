"""Pulumi's resource names: how a URN is made and taken apart.

A URN is `urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>`; the parent's type is left out where the parent
is the stack itself.
"""

from __future__ import annotations

import re

ROOT_STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_TYPE_PREFIX = "pulumi:providers:"

Urn = str


def make(stack: str, project: str, parent: Urn | None, type_: str, name: str) -> Urn:
    """The URN of a resource of type `type_` called `name` below `parent` (None or the root stack: at the top)."""
    qualified = type_
    if parent and type_of(parent) != ROOT_STACK_TYPE:
        qualified = f"{qualified_type_of(parent)}${type_}"
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def qualified_type_of(urn: Urn) -> str:
    """The types of a resource and its parents, joined by `$`."""
    return urn.split("::", 3)[2]


def type_of(urn: Urn) -> str:
    """The type of the resource itself."""
    return qualified_type_of(urn).rsplit("$", 1)[-1]


def name_of(urn: Urn) -> str:
    """The name that the program gave the resource; it may itself hold `::`."""
    return urn.split("::", 3)[3]


def is_provider_type(type_: str) -> bool:
    """Whether a resource of type `type_` is a provider (`pulumi:providers:aws`)."""
    return type_.startswith(PROVIDER_TYPE_PREFIX)


def is_default_provider(urn: Urn) -> bool:
    """Whether the resource is a provider that no program declared."""
    return is_provider_type(type_of(urn)) and re.match(r"default($|_)", name_of(urn)) is not None


def provider_of_reference(reference: str) -> Urn:
    """The URN in a provider reference (`<urn>::<id>`); empty for an empty reference."""
    return reference.rpartition("::")[0]


def matches(pattern: str, urn: Urn) -> bool:
    """Whether `urn` is what `--target` means by `pattern`: `*` stands for anything but `:`, `**` for anything."""
    if "*" not in pattern:
        return pattern == urn
    parts = re.split(r"(\*\*|\*)", pattern)
    expression = "".join({"**": ".*", "*": "[^:]*"}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(expression, urn) is not None
