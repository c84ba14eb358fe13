"""A client's messages: what goes in comes out, for every form of a field, and is what a replica reads."""

from __future__ import annotations

from typing import Any

import pytest
from pictures import PICTURES

from heliostat.clients.runtime.messages import filled, read
from heliostat.clients.sources import fields_of
from heliostat.serving.grpc.definition import define, descriptor_of
from heliostat.serving.grpc.messages import classes_of
from heliostat.serving.grpc.own import _row_of
from heliostat.serving.grpc.shapes import shapes_of

VALUES: dict[str, Any] = {
    "image": [[1.5, 2.0, 3.0], [0.5, 2.0, 4.0]], "mask": [True, False], "title": "é", "boxes": [[1, 2], [3]],
    "about": {"a": 1}, "howMany": 2**62, "weight": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("name", [*VALUES, None])
def test_what_is_written_is_read_and_is_what_a_replica_reads(name: str | None) -> None:
    shape, _ = shapes_of(PICTURES)
    definition = define(PICTURES, "pictures")
    message = classes_of(descriptor_of(definition), definition.package)("Picture")()
    given = {name: VALUES[name]} if name else VALUES
    filled(message, {**given, "weight": given.get("weight")}, fields_of(shape))
    assert {key: value for key, value in read(message, fields_of(shape)).items() if value not in (None, [], {})} == given
    assert _row_of(message, shape) == given
