"""Values that stand as marked mappings in the protocol and in the checkpoint: assets, archives, references, outputs; all pure.

The engine holds each in the form of the checkpoint. The protocol's differs for a reference: there it has a name and a type,
and goes as its id alone to a plugin that takes none. An id that is not known yet is empty in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from heliostat.engine.state.snapshot import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    OUTPUT_SIGNATURE,
    REFERENCE_SIGNATURE,
    SECRET_SIGNATURE,
    SECRET_SIGNATURE_KEY,
    UNKNOWN,
    Secret,
)
from heliostat.engine.state.urns import name_of, type_of

_CONTENTS = (ASSET_SIGNATURE, ARCHIVE_SIGNATURE)
_PLAIN = frozenset({str, int, float, bool, type(None)})


def held(values: dict[str, Any]) -> Any:
    """A marked mapping of the protocol or of a checkpoint, as the engine holds it."""
    match values.get(SECRET_SIGNATURE_KEY):
        case str(mark) if mark == SECRET_SIGNATURE:
            return _secret(values.get("value"))
        case str(mark) if mark == ASSET_SIGNATURE:
            return _marked(mark, {key: values[key] for key in ("hash", "text", "path", "uri") if values.get(key)})
        case str(mark) if mark == ARCHIVE_SIGNATURE:
            return _marked(mark, _archive(values))
        case str(mark) if mark == REFERENCE_SIGNATURE:
            return _marked(mark, _reference(values))
        case str(mark) if mark == OUTPUT_SIGNATURE:
            value = values.get("value", UNKNOWN)
            return _secret(value) if values.get("secret") is True else value
    return values


def _marked(mark: str, values: dict[str, Any]) -> dict[str, Any]:
    return {SECRET_SIGNATURE_KEY: mark, **values}


def _secret(value: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


def _archive(values: Mapping[str, Any]) -> dict[str, Any]:
    """An archive is at a path, else at an address, else it has members."""
    digest = {"hash": values["hash"]} if values.get("hash") else {}
    place = next(({key: values[key]} for key in ("path", "uri") if values.get(key)), None)
    return digest | (place or {"assets": values.get("assets") or {}})


def _reference(values: Mapping[str, Any]) -> dict[str, Any]:
    known = values.get("id")
    # An older CLI wrote the id as a mapping, which held nothing for a component.
    known = known.get("V") if isinstance(known, Mapping) else known
    ident = {} if known is None else {"id": known if isinstance(known, str) and known != UNKNOWN else ""}
    return {"urn": values.get("urn", ""), **ident, "packageVersion": values.get("packageVersion") or ""}


def is_reference(value: Any) -> bool:
    """Whether a value is a reference to a resource."""
    return isinstance(value, Mapping) and value.get(SECRET_SIGNATURE_KEY) == REFERENCE_SIGNATURE


def sent(reference: Mapping[str, Any]) -> dict[str, Any]:
    """A reference as the protocol has it."""
    urn = reference["urn"]
    named = {"name": name_of(urn), "type": type_of(urn)} if urn.count("::") >= 3 else {}
    return {key: value for key, value in reference.items() if key != "packageVersion" or value} | named


def without_references(value: Any) -> Any:
    """A value with the id in the place of each reference, or the URN of what has none."""

    def bare(reference: Mapping[str, Any]) -> Any:
        return (reference["id"] or UNKNOWN) if "id" in reference else reference["urn"]

    return _mapped(value, (REFERENCE_SIGNATURE,), bare)


def is_content(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is an asset or an archive."""
    return value.get(SECRET_SIGNATURE_KEY) in _CONTENTS


def has_contents(value: Any) -> bool:
    """Whether there is an asset or an archive in a value; asked of all that is compared, so it is quick."""
    kind = type(value)
    if kind in _PLAIN:
        return False
    if kind is dict:
        if SECRET_SIGNATURE_KEY in value and value[SECRET_SIGNATURE_KEY] in _CONTENTS:
            return True
        items = value.values()
    else:
        items = value if kind is list else (value.value,) if kind is Secret else ()
    for item in items:  # noqa: SIM110 - a generator takes twice as long
        if type(item) not in _PLAIN and has_contents(item):
            return True
    return False


def without_contents(value: Any) -> Any:
    """A value in which of each asset and archive only its digest is left: what is compared or deleted needs no more."""
    if not has_contents(value):
        return value
    keys = (SECRET_SIGNATURE_KEY, "hash")
    return _mapped(value, _CONTENTS, lambda one: {key: one[key] for key in keys if key in one})


def with_contents_of(value: Any, original: Any) -> Any:
    """A value in which what stands for an asset of `original` by its digest alone is that asset again.

    As with the CLI, an archive stays without its members, or its place, until the program is run again.
    """
    assets = (one for one in _contents(original) if one[SECRET_SIGNATURE_KEY] == ASSET_SIGNATURE)
    known = {one["hash"]: dict(one) for one in assets if "hash" in one}

    def whole(one: Mapping[str, Any]) -> Mapping[str, Any]:
        return known.get(one.get("hash", ""), one) if one.keys() <= {SECRET_SIGNATURE_KEY, "hash"} else one

    return _mapped(value, (ASSET_SIGNATURE,), whole) if known else value


def _contents(value: Any) -> Iterator[Mapping[str, Any]]:
    """The assets and archives in a value, but for those in archives."""
    if isinstance(value, Secret):
        yield from _contents(value.value)
    elif isinstance(value, Mapping):
        if value.get(SECRET_SIGNATURE_KEY) in _CONTENTS:
            yield value
        else:
            for item in value.values():
                yield from _contents(item)
    elif isinstance(value, list):
        for item in value:
            yield from _contents(item)


def _mapped(value: Any, marks: tuple[str, ...], change: Callable[[Mapping[str, Any]], Any]) -> Any:
    """A value with `change` applied to each of its mappings with one of `marks`."""
    match value:
        case Secret():
            return Secret(_mapped(value.value, marks, change))
        case Mapping():
            if value.get(SECRET_SIGNATURE_KEY) in marks:
                return change(value)
            return {key: _mapped(item, marks, change) for key, item in value.items()}
        case list():
            return [_mapped(item, marks, change) for item in value]
        case _:
            return value
