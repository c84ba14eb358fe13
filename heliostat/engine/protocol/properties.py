"""Property values: between protobuf's Struct and plain Python values, and what the engine asks of them.

A secret is a `Secret`, an unknown is the string UNKNOWN. Assets, archives and references to resources are marked mappings,
in the form that `heliostat.engine.state.marked` gives them. Whole numbers are `int`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import struct_pb2

from heliostat.engine.state.marked import held, is_reference, sent, without_references
from heliostat.engine.state.snapshot import SECRET_SIGNATURE, SECRET_SIGNATURE_KEY, UNKNOWN, Secret

EXACT_INTEGERS = 2.0**53
_TYPED_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""What a plugin may write for a boolean, number, list, asset, archive or mapping that is not known yet."""


def from_struct(message: struct_pb2.Struct) -> dict[str, Any]:
    """The values of a message."""
    return {key: from_value(value) for key, value in message.fields.items()}


def from_value(message: struct_pb2.Value) -> Any:
    """One value of a message."""
    match message.WhichOneof("kind"):
        case "string_value":
            text = message.string_value
            return UNKNOWN if text in _TYPED_UNKNOWNS else text
        case "number_value":
            number = message.number_value
            return int(number) if number.is_integer() and abs(number) < EXACT_INTEGERS else number
        case "bool_value":
            return message.bool_value
        case "struct_value":
            values = from_struct(message.struct_value)
            return held(values) if SECRET_SIGNATURE_KEY in values else values
        case "list_value":
            return [from_value(item) for item in message.list_value.values]
        case _:
            return None


def to_struct(
    values: Mapping[str, Any], *, secrets: bool = True, unknowns: bool = True, references: bool = True
) -> struct_pb2.Struct:
    """A message of `values`.

    Without `secrets` they go in clear, without `unknowns` what is unknown is left out, and without `references` a resource
    goes as its id.
    """
    message = struct_pb2.Struct()
    _fill_struct(message, values if references else without_references(values), secrets, unknowns)
    return message


def _fill_struct(message: struct_pb2.Struct, values: Mapping[str, Any], secrets: bool, unknowns: bool) -> None:
    fields = message.fields
    for key, value in values.items():
        if unknowns or not _is_unknown(value):
            _fill_value(fields[key], value, secrets, unknowns)


def _is_unknown(value: Any) -> bool:
    while isinstance(value, Secret):
        value = value.value
    return isinstance(value, str) and value == UNKNOWN


def _fill_value(message: struct_pb2.Value, value: Any, secrets: bool, unknowns: bool) -> None:
    match value:
        case str():
            message.string_value = value
        case bool():
            message.bool_value = value
        case int() | float():
            message.number_value = value
        case Secret():
            _fill_secret(message, value, secrets, unknowns)
        case Mapping():
            message.struct_value.SetInParent()
            _fill_struct(message.struct_value, sent(value) if is_reference(value) else value, secrets, unknowns)
        case list() | tuple():
            message.list_value.SetInParent()
            for item in (item for item in value if unknowns or not _is_unknown(item)):
                _fill_value(message.list_value.values.add(), item, secrets, unknowns)
        case None:
            message.null_value = struct_pb2.NULL_VALUE
        case _:
            raise TypeError(f"a {type(value).__name__} is no property value")


def _fill_secret(message: struct_pb2.Value, secret: Secret, secrets: bool, unknowns: bool) -> None:
    if secrets:
        fields = message.struct_value.fields
        fields[SECRET_SIGNATURE_KEY].string_value = SECRET_SIGNATURE
        message = fields["value"]
    _fill_value(message, secret.value, secrets, unknowns)


def without_secrets(value: Any) -> Any:
    """A value with every secret in it laid open; only for comparing, never for showing."""
    match value:
        case Secret():
            return without_secrets(value.value)
        case Mapping():
            return {key: without_secrets(item) for key, item in value.items()}
        case list():
            return [without_secrets(item) for item in value]
        case _:
            return value


def has_unknowns(value: Any) -> bool:
    """Whether something in a value is not known yet."""
    match value:
        case str():
            return value == UNKNOWN
        case Secret():
            return has_unknowns(value.value)
        case Mapping():
            return any(has_unknowns(item) for item in value.values())
        case list():
            return any(has_unknowns(item) for item in value)
        case _:
            return False


def has_secrets(value: Any) -> bool:
    """Whether something in a value is secret."""
    match value:
        case Secret():
            return True
        case Mapping():
            return any(has_secrets(item) for item in value.values())
        case list():
            return any(has_secrets(item) for item in value)
        case _:
            return False


def with_secrets_of(outputs: dict[str, Any], inputs: Mapping[str, Any], names: Iterable[str] = ()) -> dict[str, Any]:
    """Outputs in which what was a secret input, or is one of `names`, is secret too."""
    wanted = set(names) | {key for key, value in inputs.items() if isinstance(value, Secret)}
    if not wanted & outputs.keys():
        return outputs
    return {k: Secret(v) if k in wanted and not isinstance(v, Secret) else v for k, v in outputs.items()}


def annotated(outputs: Any, inputs: Any) -> Any:
    """`outputs` of a plugin that knows no secrets, with whatever was secret in `inputs` secret again, at any depth."""
    if isinstance(outputs, dict) and isinstance(inputs, Mapping):
        return {key: annotated(value, inputs[key]) if key in inputs else value for key, value in outputs.items()}
    # A plugin may have put a list in another order: where something in it was secret, all of it is.
    return Secret(outputs) if has_secrets(inputs) and not isinstance(outputs, Secret) else outputs
