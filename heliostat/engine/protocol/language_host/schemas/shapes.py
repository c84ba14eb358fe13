"""The shape of a value, as an annotation of the SDK has it."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any, Union

import pulumi

from . import sdk


@dataclass(frozen=True)
class Anything:
    """Whatever the SDK says nothing of."""


@dataclass(frozen=True)
class Scalar:
    """A string, a number, or a truth value."""

    kind: type


@dataclass(frozen=True)
class OneOf:
    """One of some constants."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class ListOf:
    """A list."""

    element: Shape


@dataclass(frozen=True)
class MapOf:
    """A mapping by whatever keys."""

    value: Shape


@dataclass(frozen=True)
class ObjectOf:
    """A mapping by the names of a class: one of arguments, or one of an output's parts."""

    described: type


@dataclass(frozen=True)
class Content:
    """An asset or an archive."""


@dataclass(frozen=True)
class Either:
    """One of several."""

    options: tuple[Shape, ...]


Shape = Anything | Scalar | OneOf | ListOf | MapOf | ObjectOf | Content | Either

ANYTHING = Anything()
_SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


@cache
def shape_of(hint: Any) -> Shape:
    """The shape that an annotation gives: what is not known of it is anything."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _either(arguments)
    if origin is typing.Literal:
        return OneOf(arguments)
    if origin in _SEQUENCES:
        return ListOf(shape_of(arguments[0]))
    if origin in _MAPPINGS:
        return MapOf(shape_of(arguments[1]))
    return _of_class(hint) if isinstance(hint, type) else ANYTHING


def _of_class(found: type) -> Shape:
    if found in (str, int, float, bool):
        return Scalar(found)
    if issubclass(found, enum.Enum):
        return OneOf(tuple(one.value for one in found))
    if issubclass(found, pulumi.Asset | pulumi.Archive):
        return Content()
    return ObjectOf(found) if sdk.is_input(found) or sdk.is_output(found) else ANYTHING


def _either(arguments: tuple[Any, ...]) -> Shape:
    """A union without what is only a way of giving its value: an output, an awaitable, or nothing at all."""
    kept = [one for one in arguments if one is not type(None) and not _is_a_way(one)]
    classes = any(sdk.is_input(one) for one in kept)
    # Beside a class of arguments stands the mapping by which it may be given.
    options = tuple(dict.fromkeys(shape_of(one) for one in kept if not (classes and _is_mapping(one))))
    if not options or ANYTHING in options:
        return ANYTHING
    return options[0] if len(options) == 1 else Either(options)


def _is_a_way(one: Any) -> bool:
    return typing.get_origin(one) in (pulumi.Output, collections.abc.Awaitable)


def _is_mapping(one: Any) -> bool:
    return typing.is_typeddict(one) or one is dict or typing.get_origin(one) in _MAPPINGS
