"""What the resources share: how Python values become properties, and how outputs are read back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, cast

import pulumi
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

Address = Mapping[str, Any]
"""A `StoreAddress`, `RayAddress`, ... of `heliostat.spec.addresses` as it stands in outputs: camel case, by alias."""


class Resource(pulumi.CustomResource):
    """A resource of the `heliostat` plugin."""

    token: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ()
    """Properties (snake case) that the plugin makes, beside the inputs that it hands back."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None, /, **inputs: Any) -> None:
        """Declare it with those `inputs` (snake case) that are not None."""
        properties: dict[str, Any] = {to_camel(key): wire(value) for key, value in inputs.items() if value is not None}
        super().__init__(self.token, name, {**properties, **{to_camel(key): None for key in self.outputs}}, opts)

    def output(self, key: str) -> pulumi.Output[Any]:
        """The output `key` (snake case)."""
        return cast("pulumi.Output[Any]", pulumi.get(self, to_camel(key)))


def wire(value: Any) -> Any:
    """`value` as a property: models by alias, enums by value, outputs untouched."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [wire(item) for item in value]
    if isinstance(value, dict):
        return {key: wire(item) for key, item in value.items()}
    return value


def all_or_nothing(**parts: pulumi.Input[Any] | None) -> pulumi.Output[Any]:
    """An object to export, without parts that are None; no object where a part of it could not be had, so that the stack keeps
    what it exported before.

    What a failed resource would have given is an unknown, and an engine that goes on after errors would write that over
    the address at which the old version still serves.
    """
    joined = pulumi.Output.all(**parts).apply(lambda found: {key: part for key, part in found.items() if part is not None})
    return joined if pulumi.runtime.is_dry_run() else pulumi.Output.from_input(joined.future())
