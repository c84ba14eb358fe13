"""Pulumi's resource names: how a URN is made and taken apart.

A URN is `urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>`; the parent's type is left out where the parent
is the stack itself.
"""
from __future__ import annotations

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
