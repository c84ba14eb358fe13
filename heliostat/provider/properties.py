"""Pulumi's property values as plain Python and back: secrets, unknowns, and paths into nested values.

Pure. A path is a tuple of keys and indexes; its text form is Pulumi's (`workers.count`, `files[0]`, `parameters["a.b"]`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, struct_pb2
from pydantic.alias_generators import to_camel

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's constant that marks a secret
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that only the update will tell."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Properties:
    """Plain values, and where in them secrets were."""

    values: dict[str, Any]
    secrets: frozenset[Path] = frozenset()

    @property
    def unknowns(self) -> frozenset[Path]:
        """Where values are not known yet."""
        return frozenset(path for path, value in leaves(self.values) if value == UNKNOWN)

    @property
    def secret_texts(self) -> frozenset[str]:
        """All texts inside secrets: what must never be shown."""
        found: set[str] = set()
        for path in self.secrets:
            texts = (str(value) for _, value in leaves(at(self.values, path)) if not isinstance(value, bool))
            found.update(text for text in texts if len(text) > 3 and text != UNKNOWN)
        return frozenset(found)


def decode(message: struct_pb2.Struct) -> Properties:
    """Plain values of `message`. A number without a fraction becomes an int, as in the state's JSON."""
    secrets: set[Path] = set()
    values = _plain(json_format.MessageToDict(message), (), secrets)
    return Properties(values, frozenset(secrets))


def encode(properties: Properties) -> struct_pb2.Struct:
    """The message for `properties`, with secrets wrapped where they are."""
    message = struct_pb2.Struct()
    message.update(_wrapped(properties.values, properties.secrets))
    return message


def carried(values: dict[str, Any], source: Properties) -> Properties:
    """`values` with what is secret in `source` secret too: at the same places, and wherever a secret text stands."""
    secrets = {place for path in source.secrets if (place := _place(values, path)) is not None}
    hidden = source.secret_texts
    if hidden:
        secrets |= {path for path, value in leaves(values) if isinstance(value, str) and any(text in value for text in hidden)}
    return Properties(values, frozenset(secrets))


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in `value` that is neither a mapping nor a list, with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def at(value: Any, path: Path) -> Any:
    """What stands at `path`; None where the path leads nowhere."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def below(path: Path, tops: Iterable[Path]) -> bool:
    """Whether `path` is one of `tops` or inside one."""
    return any(path[: len(top)] == top for top in tops)


def text_of(path: Path) -> str:
    """`('workers', 'count')` as `workers.count`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_$][\w$-]*", part):
            text += f".{part}"
        else:
            text += '["' + part.replace('"', '\\"') + '"]'
    return text.removeprefix(".")


def path_of(text: str) -> Path:
    """The reverse of `text_of`; `*` and `[*]` stay as the part `*`."""
    parts: list[str | int] = []
    for quoted, index, star, key in re.findall(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\[(\*)\]|([^.\[\]]+)', text):
        parts.append(int(index) if index else star or key or quoted.replace('\\"', '"'))
    return tuple(parts)


def _plain(value: Any, path: Path, secrets: set[Path]) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            secrets.add(path)
            return _plain(value.get("value"), path, secrets)
        return {key: _plain(item, (*path, key), secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, (*path, index), secrets) for index, item in enumerate(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _wrapped(value: Any, secrets: frozenset[Path], path: Path = ()) -> Any:
    if isinstance(value, Mapping):
        value = {key: _wrapped(item, secrets, (*path, key)) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        value = [_wrapped(item, secrets, (*path, index)) for index, item in enumerate(value)]
    return {SIGNATURE: SECRET, "value": value} if path in secrets else value


def _place(values: Any, path: Path) -> Path | None:
    """Where `path` leads in `values`, whose keys may have been brought to camel case since."""
    place: list[str | int] = []
    for part in path:
        part = to_camel(part) if isinstance(part, str) and isinstance(values, dict) and part not in values else part
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
        place.append(part)
    return tuple(place)
