"""Between JSON and messages of Protocol Buffers.

Fields are told by their names in JSON: `[name, form]` and, of what is in a message of its own, its fields; of a tensor its
datatype.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

_FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def filled(message: Any, values: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Write values into a message; what is None is left out."""
    for key, value in values.items():
        if value is None:
            continue
        name, form, *more = fields[key]
        if form == "value":
            setattr(message, name, value)
        elif form == "list":
            getattr(message, name).extend(value)
        elif form == "map":
            getattr(message, name).update(value)
        elif form == "json":
            setattr(message, name, json.dumps(value))
        elif form == "message":
            getattr(message, name).SetInParent()
            filled(getattr(message, name), value, more[0])
        elif form == "messages":
            for each in value:
                filled(getattr(message, name).add(), each, more[0])
        else:
            _fill_tensor(getattr(message, name), value, more[0])


def read(message: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a message, by their names in JSON; what is not there is None."""
    found: dict[str, Any] = {}
    for key, (name, form, *more) in fields.items():
        value = getattr(message, name)
        if form in ("value", "json", "message", "tensor") and not message.HasField(name):
            found[key] = None
        elif form == "value":
            found[key] = value
        elif form in ("list", "map"):
            found[key] = list(value) if form == "list" else dict(value)
        elif form == "json":
            found[key] = json.loads(value)
        elif form == "message":
            found[key] = read(value, more[0])
        elif form == "messages":
            found[key] = [read(each, more[0]) for each in value]
        else:
            found[key] = _read_tensor(value, more[0])
    return found


def _fill_tensor(tensor: Any, value: Any, datatype: str) -> None:
    shape, part = [], value
    while isinstance(part, list):
        shape.append(len(part))
        part = part[0] if part else None
    elements = list(_flat(value))
    tensor.shape.extend(shape)
    if datatype == "BYTES":
        parts = [text.encode() for text in elements]
        tensor.values = b"".join(struct.pack("<I", len(each)) + each for each in parts)
    else:
        tensor.values = struct.pack(f"<{len(elements)}{_FORMATS[datatype]}", *elements)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _read_tensor(tensor: Any, datatype: str) -> Any:
    found: list[Any] = []
    if datatype == "BYTES":
        at = 0
        while at < len(tensor.values):
            end = at + 4 + struct.unpack_from("<I", tensor.values, at)[0]
            found.append(tensor.values[at + 4 : end].decode())
            at = end
    else:
        size = struct.calcsize(f"<{_FORMATS[datatype]}")
        found = list(struct.unpack(f"<{len(tensor.values) // size}{_FORMATS[datatype]}", tensor.values))
    for size in reversed(list(tensor.shape)[1:]):
        found = [found[at : at + size] for at in range(0, len(found), size)]
    return found
