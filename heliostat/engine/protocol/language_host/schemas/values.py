"""Values as the protocol has them: what of them is not known, secret, or stands for something else."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import pulumi
from google.protobuf import struct_pb2

from . import sdk


class Opened:
    """A value without the marks around it."""

    __slots__ = ("known", "secret", "value")

    def __init__(self, value: Any) -> None:
        self.secret, self.known = False, True
        while True:
            if isinstance(value, Mapping) and value.get(sdk.SIGNATURE_KEY) in (sdk.SECRET, sdk.OUTPUT):
                self.secret = self.secret or value[sdk.SIGNATURE_KEY] == sdk.SECRET or value.get("secret") is True
                value = value.get("value", sdk.UNKNOWN)
            elif not isinstance(value, str | int | float | pulumi.Output) and hasattr(value, "value"):
                # an enum, or the engine's own mark of a secret
                self.secret, value = not isinstance(value, enum.Enum), value.value
            else:
                break
        self.value = value
        self.known = not (isinstance(value, pulumi.Output | sdk.Unknown) or (isinstance(value, str) and value == sdk.UNKNOWN))

    @property
    def is_reference(self) -> bool:
        """Whether a resource stands for its id."""
        return bool(self.mark == sdk.REFERENCE) or isinstance(self.value, pulumi.Resource)

    @property
    def is_content(self) -> bool:
        """Whether it is an asset or an archive."""
        return self.mark in sdk.CONTENT or isinstance(self.value, pulumi.Asset | pulumi.Archive)

    @property
    def mark(self) -> Any:
        """What a marked mapping is; None where it is none."""
        return self.value.get(sdk.SIGNATURE_KEY) if isinstance(self.value, Mapping) else None


def secret(value: Any) -> dict[str, Any]:
    """A value marked as a secret."""
    return {sdk.SIGNATURE_KEY: sdk.SECRET, "value": value}


def plain(message: struct_pb2.Value) -> Any:
    """What a value of a message is in Python."""
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return {key: plain(value) for key, value in message.struct_value.fields.items()}
    if kind == "list_value":
        return [plain(value) for value in message.list_value.values]
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() else number
    return getattr(message, kind) if kind in ("string_value", "bool_value") else None
