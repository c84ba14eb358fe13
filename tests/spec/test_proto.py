"""A contract's definition in Protocol Buffers: what is written is read, and a number stays with its field."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from heliostat.spec.proto import Definition, DefinitionError, ProtoField, ProtoMessage, breaks, parse, text_of

ROW = ProtoMessage(
    "Row",
    (ProtoField("optional double", "size", 1, "In metres."), ProtoField("map<string, int64>", "about", 3)),
    (2,),
    ("old", "older"),
)
ANSWER = ProtoMessage("Answer", (ProtoField("repeated string", "names", 1), ProtoField("Tensor", "light", 2)))
DEFINITION = Definition("heliostat.a_b", "Row", "Answer", (ROW, ANSWER))


def test_what_is_written_is_what_is_read() -> None:
    assert parse(text_of(DEFINITION)) == DEFINITION
    assert text_of(parse(text_of(DEFINITION))) == text_of(DEFINITION)


def test_the_message_of_tensors_is_there_where_a_field_is_one() -> None:
    assert "message Tensor {" in text_of(DEFINITION)
    assert "message Tensor {" not in text_of(replace(DEFINITION, messages=(ROW,)))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (("optional double size = 1;", "required double size = 1;"), "line 30 is in no form"),
        (("optional double size = 1;", "optional double size = 3;"), "more than once"),
        (("optional double size = 1;", "optional double size = 2;"), "reserved and in use"),
        (("optional double size = 1;", "optional double old = 1;"), "reserved and in use"),
        (("package heliostat.a_b;", ""), "no package"),
        (("repeated Row rows = 1;", "repeated Row rows = 2;"), "in no form|with rows"),
    ],
)
def test_what_is_in_no_form_of_ours_is_told_by_its_line(changed: tuple[str, str], why: str) -> None:
    text = text_of(DEFINITION)
    assert changed[0] in text
    with pytest.raises(DefinitionError, match=re.compile(why)):
        parse(text.replace(*changed))


def of(**changes: object) -> Definition:
    return replace(DEFINITION, messages=(replace(ROW, **changes), ANSWER))  # type: ignore[arg-type]


SIZE, ABOUT = ROW.fields
MORE = ProtoField("optional bool", "more", 4)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (DEFINITION, None),
        (of(fields=(SIZE, ABOUT, MORE)), None),
        (of(fields=(ABOUT, SIZE)), None),
        (of(fields=(SIZE,), reserved=(2, 3)), None),
        (of(fields=(replace(SIZE, comment="other"), ABOUT)), None),
        (of(fields=(replace(SIZE, declared="optional int64", number=4), ABOUT), reserved=(1, 2)), None),
        (of(fields=(SIZE,)), "Row.about has lost its number 3"),
        (of(fields=(replace(SIZE, number=5), ABOUT)), "Row.size has lost its number 1"),
        (of(fields=(replace(MORE, number=1), ABOUT)), "has the number 1, which is that of size"),
        (of(fields=(replace(SIZE, declared="optional int64"), ABOUT)), "has the number 1, which is that of size"),
        (of(fields=(SIZE, ABOUT, replace(MORE, number=2)), reserved=()), "has the number 2, which is reserved"),
        (of(reserved=()), "the number 2 of Row is no longer reserved"),
        (replace(DEFINITION, messages=(ROW,)), "the message Answer is gone"),
    ],
)
def test_what_clients_would_misread_is_told_and_nothing_else(after: Definition, told: str | None) -> None:
    found = list(breaks(DEFINITION, after))
    assert bool(found) is bool(told), found
    assert told is None or told in found[0]
