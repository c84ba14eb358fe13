"""The outputs of a resource as far as they are known before its provider has made or changed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import sdk
from .shapes import Anything, ListOf, MapOf, ObjectOf, OneOf, Scalar, Shape, shape_of
from .values import Opened, secret


def outputs(token: str, inputs: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as outputs, with what was there `before` beside them; whatever else the type has is unknown, at any depth.

    An input of another kind than its output, such as a policy's document in place of its text, is an unknown output.
    """
    resource = sdk.resource_class(token)
    hints = sdk.outputs(resource) if resource else {}
    return _completed(inputs, hints, before)


def _completed(inputs: Mapping[str, Any], hints: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    # notes of the provider among its inputs, which are no outputs
    values = {key: value for key, value in inputs.items() if not key.startswith("__")}
    given = {key: _of(value, shape_of(hints[key]), before.get(key)) for key, value in values.items() if key in hints}
    rest = {key: value for key, value in values.items() if key not in hints}
    known = {key: value for key, value in before.items() if key not in values}
    return {**dict.fromkeys(hints, sdk.UNKNOWN), **known, **rest, **given}


def _of(value: Any, shape: Shape, before: Any) -> Any:
    opened = Opened(value)
    if value is None or not opened.known or isinstance(shape, Anything):
        return value
    found = _part(opened, shape, Opened(before).value)
    return secret(found) if opened.secret else found


def _part(opened: Opened, shape: Shape, before: Any) -> Any:
    value = opened.value
    if isinstance(shape, ObjectOf) and isinstance(value, Mapping):
        return _completed(value, sdk.outputs(shape.described), before if isinstance(before, Mapping) else {})
    if isinstance(shape, MapOf) and isinstance(value, Mapping):
        known = before if isinstance(before, Mapping) else {}
        return {key: _of(item, shape.value, known.get(key)) for key, item in value.items() if not key.startswith("__")}
    if isinstance(shape, ListOf) and isinstance(value, list | tuple):
        olds = before if isinstance(before, list) and len(before) == len(value) else [None] * len(value)
        return [_of(item, shape.element, old) for item, old in zip(value, olds, strict=True)]
    fits = (
        not isinstance(value, list | Mapping) if isinstance(shape, Scalar | OneOf) else not isinstance(shape, ListOf | MapOf)
    )
    return value if fits and not isinstance(shape, ObjectOf) else sdk.UNKNOWN
