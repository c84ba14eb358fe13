"""`replacement_trigger`: a value of the program's whose change replaces the resource."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_harness import Lab

from heliostat.engine.protocol.diffs import is_triggered
from heliostat.engine.state.checkpoint import decode, encode_resource, parse
from heliostat.engine.state.snapshot import UNKNOWN, Resource, Secret


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("one", "one", False),
        ("one", "two", True),
        (None, "one", False),
        ("one", None, False),
        (Secret("one"), "one", False),
        ({"a": [1, Secret(2)]}, {"a": [1, 2]}, False),
        ({"a": [1, 2]}, {"a": [1, 3]}, True),
        (1, True, True),
        (1, 1.0, False),
        ("one", UNKNOWN, True),
        (None, UNKNOWN, True),
    ],
)
def test_a_trigger_replaces_where_its_value_differs_and_there_was_one(old: Any, new: Any, expected: bool) -> None:
    assert is_triggered(old, new) is expected


async def test_a_resource_is_replaced_when_its_trigger_changes_and_not_when_it_comes_or_goes(lab: Lab) -> None:
    async def up(trigger: str) -> list[str]:
        assert (await lab.up(f"Lab('a', Options(replacement_trigger={trigger}), v=1)")).succeeded
        return lab.calls("create", "update", "delete")

    assert await up("None") == ["create a"]
    assert await up("'one'") == []
    assert lab.resources()["a"].replacement_trigger == "one"
    assert await up("'one'") == []
    assert await up("'two'") == ["create a", "delete a"]
    assert await up("pulumi.Output.secret('two')") == []
    assert lab.resources()["a"].replacement_trigger == Secret("two")
    assert await up("None") == []


async def test_a_trigger_that_a_preview_does_not_know_replaces_there(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nLab('b', Options(replacement_trigger=a.made), v=1)")
    program = "a = Lab('a', replace_v=2)\nLab('b', Options(replacement_trigger=a.made), v=1)"
    await lab.preview(program)
    assert "replace b" in lab.steps()
    assert (await lab.up(program)).succeeded
    assert lab.calls("create", "delete") == ["create a", "delete a"], "its value is the same after all"


def test_a_secret_trigger_is_kept_encrypted() -> None:
    resource = Resource("urn:pulumi:s::p::t:i:T::a", "t:i:T", custom=True, replacement_trigger={"a": Secret("hush")})
    stored = encode_resource(resource, lambda text, _: {"ciphertext": text[::-1]})
    assert "hush" not in json.dumps(stored)

    class Opener:
        def of(self, salt: str) -> Opener:
            return self

        def decrypt(self, ciphertext: str, place: str = "") -> str:
            return ciphertext[::-1]

    latest = {"resources": [stored], "secrets_providers": {"type": "passphrase", "state": {"salt": "s"}}}
    document = parse(json.dumps({"version": 3, "checkpoint": {"stack": "s", "latest": latest}}).encode(), "f", "b")
    assert decode(document, Opener()).resources == [resource]
