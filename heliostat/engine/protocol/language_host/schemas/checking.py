"""Holds the inputs of a resource to what its SDK says of its arguments; all mistakes at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from . import sdk
from .shapes import Anything, Content, Either, ListOf, MapOf, ObjectOf, OneOf, Scalar, Shape, shape_of
from .values import Opened

_SUGGESTED = 3
_LONGEST_CHOICE = 12
_NOUNS = {str: "a string", int: "a whole number", float: "a number", bool: "True or False"}


class Mistake(NamedTuple):
    """What is wrong with one argument; `path` is as Python writes it (`scaling_config.min_size`, `taints[0].key`)."""

    path: str
    reason: str


def mistakes(token: str, inputs: Mapping[str, Any]) -> list[Mistake]:
    """All that is wrong with the inputs of a resource of the type `token`, as the SDK sends them, or as its mocks get them.

    Nothing is told of a type that no SDK knows, of what is not known yet, and of values that an SDK leaves open.
    """
    resource = sdk.resource_class(token)
    described = sdk.arguments_class(resource) if resource else None
    if described is None:
        return []
    if token.startswith(sdk.PROVIDERS):
        return list(_of_provider(inputs, described))
    return list(_of_object(inputs, described, "", Opened(None)))


def _of_provider(inputs: Mapping[str, Any], described: type) -> Iterator[Mistake]:
    """A provider takes text only: whatever is none is in JSON, with names below it that its plugin reads as they are."""
    hints = sdk.arguments(described).hints
    yield from _of_names(inputs, described, "")
    for name, value in inputs.items():
        if name in hints:
            yield from _of_text(value, shape_of(hints[name]), _joined("", _python(described, name)))


def _of_text(value: Any, shape: Shape, path: str) -> Iterator[Mistake]:
    opened = Opened(value)
    if not isinstance(opened.value, str) or not opened.known or isinstance(shape, Anything | OneOf):
        return
    if not any(isinstance(one, Scalar) and one.kind is str for one in _options(shape)):
        try:
            read = json.loads(opened.value)
        except ValueError:
            yield Mistake(path, f"has to be {_noun(shape)} in JSON")
            return
        if not any(_fits(Opened(read), one) for one in _options(shape)):
            yield Mistake(path, _wrong(Opened(read), shape))


def _of(value: Any, shape: Shape, path: str) -> Iterator[Mistake]:
    opened = Opened(value)
    if value is None or not opened.known or opened.is_reference or isinstance(shape, Anything):
        return
    if isinstance(shape, Either):
        yield from _of_either(opened, shape, path)
    elif not _fits(opened, shape):
        yield Mistake(path, _wrong(opened, shape))
    elif isinstance(shape, ListOf):
        for index, item in enumerate(opened.value):
            yield from _of(_kept(item, opened), shape.element, f"{path}[{index}]")
    elif isinstance(shape, MapOf):
        for key, item in opened.value.items():
            yield from _of(_kept(item, opened), shape.value, f"{path}[{key!r}]")
    elif isinstance(shape, ObjectOf):
        yield from _of_object(opened.value, shape.described, path, opened)


def _kept(item: Any, whole: Opened) -> Any:
    """A part of a secret is one, too."""
    return {sdk.SIGNATURE_KEY: sdk.SECRET, "value": item} if whole.secret and item is not None else item


def _of_either(opened: Opened, shape: Either, path: str) -> Iterator[Mistake]:
    fitting = [one for one in shape.options if _fits(opened, one)]
    if not fitting:
        yield Mistake(path, _wrong(opened, shape))
        return
    found = [list(_of(_kept(opened.value, opened), one, path)) for one in fitting]
    yield from min(found, key=len)


def _of_object(values: Mapping[str, Any], described: type, path: str, whole: Opened) -> Iterator[Mistake]:
    yield from _of_names(values, described, path)
    hints = sdk.arguments(described).hints
    for name, value in values.items():
        if name in hints:
            yield from _of(_kept(value, whole), shape_of(hints[name]), _joined(path, _python(described, name)))


def _of_names(values: Mapping[str, Any], described: type, path: str) -> Iterator[Mistake]:
    known = sdk.arguments(described)
    for name in values:
        # what begins like this is a provider's note in the state, and no argument
        if name not in known.hints and not name.startswith("__"):
            yield Mistake(_joined(path, name), f"there is no such argument{_suggestion(name, known.python)}")
    for name in sorted(known.required):
        written = _python(described, name)
        if values.get(name) is None and values.get(written) is None:
            yield Mistake(_joined(path, written), "is required, and missing")


def _suggestion(name: str, python: Mapping[str, str]) -> str:
    if wire := next((wire for wire, written in python.items() if written == name), ""):
        return f": here it has to be written {wire!r}, since the SDK does not translate it"
    close = difflib.get_close_matches(name, [*python.values(), *python], _SUGGESTED)
    listed = list(dict.fromkeys(python.get(one, one) for one in close)) or (
        sorted(python.values()) if len(python) <= _LONGEST_CHOICE else []
    )
    return f"; there {'is' if len(listed) == 1 else 'are'} {_listed(listed)}" if listed else ""


def _fits(opened: Opened, shape: Shape) -> bool:
    value = opened.value
    if isinstance(shape, Scalar):
        return _is_scalar(value, shape.kind)
    if isinstance(shape, OneOf):
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in shape.values)
    if isinstance(shape, ListOf):
        return isinstance(value, list | tuple)
    if isinstance(shape, Content):
        return opened.is_content
    if isinstance(shape, MapOf | ObjectOf):
        return isinstance(value, Mapping) and opened.mark is None
    return True


def _is_scalar(value: Any, kind: type) -> bool:
    if kind in (int, float):
        whole = kind is float or not isinstance(value, float) or value.is_integer()
        return isinstance(value, int | float) and not isinstance(value, bool) and whole
    return isinstance(value, kind)


def _wrong(opened: Opened, shape: Shape) -> str:
    is_choice = any(isinstance(one, OneOf) for one in _options(shape))
    told = (
        repr(opened.value) if is_choice and not opened.secret and isinstance(opened.value, str | int | float) else _is(opened)
    )
    return f"is {told}, and has to be {_noun(shape)}"


def _is(opened: Opened) -> str:
    value = opened.value
    if opened.is_content:
        return "an asset or an archive"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else _NOUNS.get(type(value), type(value).__name__)


def _noun(shape: Shape) -> str:
    if isinstance(shape, Scalar):
        return _NOUNS[shape.kind]
    if isinstance(shape, OneOf):
        values = [repr(one) for one in shape.values]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if isinstance(shape, ListOf):
        return f"a list, each of {_noun(shape.element)}" if isinstance(shape.element, Scalar) else "a list"
    if isinstance(shape, Either):
        return " or ".join(map(_noun, shape.options))
    if isinstance(shape, ObjectOf):
        return f"a mapping as {shape.described.__name__} describes it"
    return {Content: "an asset or an archive", MapOf: "a mapping"}.get(type(shape), "anything")


def _options(shape: Shape) -> tuple[Shape, ...]:
    return shape.options if isinstance(shape, Either) else (shape,)


def _python(described: type, name: str) -> str:
    return sdk.arguments(described).python.get(name, name)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
