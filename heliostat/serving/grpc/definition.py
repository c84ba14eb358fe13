"""From a contract to its own definition in Protocol Buffers (`heliostat.spec.proto`), and from that to its descriptor."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2

from heliostat.ml.contracts import Contract
from heliostat.serving.grpc.shapes import MessageShape, shapes_of
from heliostat.spec.base import Name
from heliostat.spec.proto import (
    METHOD,
    REQUEST,
    RESPONSE,
    SERVICE,
    TENSOR,
    Definition,
    ProtoField,
    ProtoMessage,
    has_tensors,
    package_of,
)

_UNUSABLE: Final = range(19_000, 20_000)
"""Numbers that Protocol Buffers keep for themselves."""


def define(contract: Contract[Any, Any], application: Name, kept: Definition | None = None) -> Definition:
    """The definition of a contract, with the numbers that `kept` has.

    Raises:
        ValueError: two of its fields would have one name.
    """
    row, answer = shapes_of(contract)
    wanted = {shape.name: shape for shape in (*row.all(), *answer.all())}
    names = [*wanted, *(old.name for old in (kept.messages if kept else ()) if old.name not in wanted)]
    messages = [_numbered(name, wanted.get(name), kept.message(name) if kept else None) for name in names]
    return Definition(package_of(application), row.name, answer.name, tuple(messages))


def _numbered(name: str, shape: MessageShape | None, kept: ProtoMessage | None) -> ProtoMessage:
    old = {field.name: field for field in kept.fields} if kept else {}
    reserved, names = set(kept.reserved if kept else ()), set(kept.reserved_names if kept else ())
    after = max((*(field.number for field in old.values()), *reserved), default=0)
    fields = []
    for field in shape.fields if shape else ():
        before = old.pop(field.name, None)
        names.discard(field.name)
        if before is not None and before.declared == field.declared:
            number = before.number
        else:
            reserved |= {before.number} if before is not None else set()
            number = after = _UNUSABLE.stop if after + 1 in _UNUSABLE else after + 1
        fields.append(ProtoField(field.declared, field.name, number, field.comment))
    reserved |= {field.number for field in old.values()}
    names |= set(old)
    return ProtoMessage(name, tuple(fields), tuple(sorted(reserved)), tuple(sorted(names)))


_TYPES: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "double": _TYPES.TYPE_DOUBLE, "int64": _TYPES.TYPE_INT64, "bool": _TYPES.TYPE_BOOL, "string": _TYPES.TYPE_STRING,
    "bytes": _TYPES.TYPE_BYTES,
}  # fmt: skip


def descriptor_of(definition: Definition) -> bytes:
    """The definition as Protocol Buffers describe themselves: a serialised FileDescriptorProto."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{definition.package.replace('.', '/')}.proto", package=definition.package, syntax="proto3"
    )
    rows = [(REQUEST, definition.row), (RESPONSE, definition.answer)]
    own = [ProtoMessage(name, (ProtoField(f"repeated {of}", "rows", 1),)) for name, of in rows]
    if has_tensors(definition):
        own.append(ProtoMessage(TENSOR, (ProtoField("repeated int64", "shape", 1), ProtoField("bytes", "values", 2))))
    for message in (*own, *definition.messages):
        made = file.message_type.add(name=message.name, reserved_name=message.reserved_names)
        for number in message.reserved:
            made.reserved_range.add(start=number, end=number + 1)
        for field in message.fields:
            _describe(made, field, definition.package)
    file.service.add(name=SERVICE).method.add(
        name=METHOD, input_type=f".{definition.package}.{REQUEST}", output_type=f".{definition.package}.{RESPONSE}"
    )
    return file.SerializeToString(deterministic=True)


def _describe(message: descriptor_pb2.DescriptorProto, field: ProtoField, package: str) -> None:
    label, _, kind = field.declared.rpartition(" ") if not field.declared.startswith("map<") else ("map", "", field.declared)
    made = message.field.add(name=field.name, number=field.number, label=_TYPES.LABEL_OPTIONAL)
    if label == "map":
        value = field.declared.removeprefix("map<string, ").removesuffix(">")
        entry = message.nested_type.add(name=f"{_entry_name(field.name)}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_TYPES.LABEL_OPTIONAL, type=_TYPES.TYPE_STRING)
        entry.field.add(name="value", number=2, label=_TYPES.LABEL_OPTIONAL, type=_SCALARS[value])
        made.label, made.type = _TYPES.LABEL_REPEATED, _TYPES.TYPE_MESSAGE
        made.type_name = f".{package}.{message.name}.{entry.name}"
        return
    if kind in _SCALARS:
        made.type = _SCALARS[kind]
    else:
        made.type, made.type_name = _TYPES.TYPE_MESSAGE, f".{package}.{kind}"
    if label == "repeated":
        made.label = _TYPES.LABEL_REPEATED
    elif label == "optional":
        # The presence of a proto3 field is a choice of its own, by one.
        made.proto3_optional, made.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{field.name}")


def _entry_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
