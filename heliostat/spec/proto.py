"""A contract's own definition in Protocol Buffers: the text that is kept in the workload's folder, and its numbers that stay.

The text is written here and read here, in the one form that it is written in. Clients know a field by its number, so a number
stays with its field for good; one whose field is gone, or has another type, is reserved.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from heliostat.spec.base import Name

PROTO_FILE: Final = "contract.proto"
"""Beside the contract's module."""
SERVICE: Final = "Predictor"
METHOD: Final = "Predict"
REQUEST: Final = "PredictRequest"
RESPONSE: Final = "PredictResponse"
TENSOR: Final = "Tensor"
"""The message of a field that is a tensor."""


class DefinitionError(ValueError):
    """A text that is no definition of ours; it says in which line."""


@dataclass(frozen=True)
class ProtoField:
    """One field."""

    declared: str
    """Its type with its label."""
    name: str
    number: int
    comment: str = ""


@dataclass(frozen=True)
class ProtoMessage:
    """One message."""

    name: str
    fields: tuple[ProtoField, ...]
    reserved: tuple[int, ...] = ()
    reserved_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Definition:
    """Messages by name, and what they are of."""

    package: str
    row: str
    answer: str
    messages: tuple[ProtoMessage, ...]

    def message(self, name: str) -> ProtoMessage | None:
        """The message of that name."""
        return next((message for message in self.messages if message.name == name), None)


def package_of(application: Name) -> str:
    """The package of an application's definition: the traffic plane knows the application by it."""
    return f"heliostat.{application.replace('-', '_')}"


def breaks(old: Definition, new: Definition) -> Iterator[str]:
    """Why clients of `old` would misread `new`, in words."""
    for before in old.messages:
        after = new.message(before.name)
        if after is None:
            yield f"the message {before.name} is gone: its numbers have to stay reserved"
            continue
        numbers = {field.number: field for field in after.fields}
        for field in before.fields:
            now = numbers.get(field.number)
            if now is not None and (now.name, now.declared) != (field.name, field.declared):
                yield (
                    f"{before.name}.{now.name} ({now.declared}) has the number {field.number}, which is that of "
                    f"{field.name} ({field.declared})"
                )
            elif now is None and field.number not in after.reserved:
                yield f"{before.name}.{field.name} has lost its number {field.number}, which is not reserved"
        for number in before.reserved:
            if number in numbers:
                yield f"{before.name}.{numbers[number].name} has the number {number}, which is reserved"
            elif number not in after.reserved:
                yield f"the number {number} of {before.name} is no longer reserved"


_HEAD: Final = """\
// The requests and answers of {package}, written by `heliostat proto`. A field keeps its number for good.

syntax = "proto3";
package {package};

service {service} {{
  rpc {method}({request}) returns ({response});
}}

message {request} {{
  // At least one.
  repeated {row} rows = 1;
}}

message {response} {{
  // In the order of the request's rows.
  repeated {answer} rows = 1;
}}
"""
_TENSOR: Final = f"""
message {TENSOR} {{
  repeated int64 shape = 1;
  // Row-major and little-endian; of BYTES each element behind its length, 4 bytes.
  bytes values = 2;
}}
"""


def text_of(definition: Definition) -> str:
    """The file's text."""
    parts = [
        _HEAD.format(
            package=definition.package, row=definition.row, answer=definition.answer, service=SERVICE, method=METHOD,
            request=REQUEST, response=RESPONSE,
        )
    ]  # fmt: skip
    if has_tensors(definition):
        parts.append(_TENSOR)
    return "".join((*parts, *(_message_text(message) for message in definition.messages)))


def has_tensors(definition: Definition) -> bool:
    """Whether a field of it is a tensor."""
    return any(each.declared == TENSOR for message in definition.messages for each in message.fields)


def _message_text(message: ProtoMessage) -> str:
    lines = [f"\nmessage {message.name} {{"]
    if message.reserved:
        lines.append(f"  reserved {', '.join(map(str, message.reserved))};")
    if message.reserved_names:
        lines.append(f"  reserved {', '.join(f'{chr(34)}{name}{chr(34)}' for name in message.reserved_names)};")
    for field in message.fields:
        lines += [f"  // {field.comment}"] if field.comment else []
        lines.append(f"  {field.declared} {field.name} = {field.number};")
    return "\n".join([*lines, "}", ""])


_FIELD: Final = re.compile(r"((?:optional |repeated )?(?:[A-Za-z]\w*|map<string, \w+>)) ([A-Za-z]\w*) = ([1-9]\d{0,8});")
_RESERVED: Final = re.compile(r"reserved (?:(\d+(?:, \d+)*)|(\"\w+\"(?:, \"\w+\")*));")
_ROWS: Final = re.compile(r"repeated (\w+) rows = 1;")
_OPENS: Final = re.compile(r"(?:message|service) (\w+) \{")
_WITHOUT_MEANING: Final = ("syntax = ", "rpc ", "//")
_OURS: Final = (REQUEST, RESPONSE, TENSOR, SERVICE)


@dataclass
class _Reader:
    """Reads a text line by line."""

    package: str = ""
    rows: dict[str, str] = dataclasses.field(default_factory=dict)
    messages: list[ProtoMessage] = dataclasses.field(default_factory=list)
    name: str = ""
    """Of the message that is open."""
    comment: str = ""
    fields: list[ProtoField] = dataclasses.field(default_factory=list)
    numbers: list[int] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)

    def read(self, line: str) -> bool:
        """Take a line; whether it is one of ours."""
        if found := re.fullmatch(r"package ([\w.]+);", line):
            self.package = found[1]
        elif found := _OPENS.fullmatch(line):
            self.name, self.fields, self.numbers, self.names = found[1], [], [], []
        elif line == "}":
            self._close()
        elif line and not line.startswith(_WITHOUT_MEANING):
            return bool(self.name) and self._read_inside(line)
        self.comment = line.removeprefix("//").strip() if line.startswith("//") else ""
        return True

    def _read_inside(self, line: str) -> bool:
        if self.name in (REQUEST, RESPONSE) and (found := _ROWS.fullmatch(line)):
            self.rows[self.name] = found[1]
        elif found := _RESERVED.fullmatch(line):
            self.numbers += map(int, found[1].split(", ")) if found[1] else ()
            self.names += re.findall(r"\w+", found[2]) if found[2] else ()
        elif found := _FIELD.fullmatch(line):
            self.fields.append(ProtoField(found[1], found[2], int(found[3]), self.comment))
        else:
            return False
        self.comment = ""
        return True

    def _close(self) -> None:
        if self.name not in _OURS:
            self.messages.append(ProtoMessage(self.name, tuple(self.fields), tuple(self.numbers), tuple(self.names)))
        self.name = ""


def parse(text: str) -> Definition:
    """The definition that a text has.

    Raises:
        DefinitionError: it is not in the form that `text_of` writes.
    """
    reader = _Reader()
    for at, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not reader.read(line):
            raise DefinitionError(f"line {at} is in no form that `heliostat proto` writes: {line[:80]}")
    if not reader.package or set(reader.rows) != {REQUEST, RESPONSE}:
        raise DefinitionError(f"it has no package, or no {REQUEST} and {RESPONSE} with rows")
    if wrong := [message.name for message in reader.messages if _repeats(message)]:
        raise DefinitionError(f"{', '.join(wrong)}: a number or a name is there more than once, or reserved and in use")
    return Definition(reader.package, reader.rows[REQUEST], reader.rows[RESPONSE], tuple(reader.messages))


def _repeats(message: ProtoMessage) -> bool:
    numbers = [*(each.number for each in message.fields), *message.reserved]
    names = [*(each.name for each in message.fields), *message.reserved_names]
    return len(set(numbers)) < len(numbers) or len(set(names)) < len(names)
