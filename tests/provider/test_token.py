"""A token is made once, and stands in clear nowhere."""

from __future__ import annotations

import re

from heliostat.provider.properties import Properties
from heliostat.provider.schema import schema
from heliostat.provider.servicer import _outputs
from heliostat.provider.token import TokenHandler
from heliostat.spec.platform_resources import TokenInputs, TokenOutputs
from tests.platforms.recorded_stack import ROOT, RecordedStack

PROGRAM = """
import pulumi
from heliostat.resources import Token

generation = int(pulumi.Config("lab").get("generation") or 1)
pulumi.export("token", Token("key", generation).value)
"""


async def test_two_are_never_the_same():
    made = [(await TokenHandler().create(None, TokenInputs())).outputs.value for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in made)
    assert made[0] != made[1]


async def test_what_is_read_is_what_the_state_has():
    outputs = TokenOutputs(value="a" * 64)
    assert await TokenHandler().read(None, "id", outputs) == outputs


def test_the_schema_says_that_it_is_secret():
    found = schema()["resources"]["heliostat:index:Token"]
    assert found["properties"]["value"]["secret"]
    assert "secret" not in found["properties"]["generation"]


async def test_it_stays_until_another_is_asked_for_and_is_a_secret_all_the_time(tmp_path):
    stack = RecordedStack(tmp_path, {}, (), PROGRAM, plugins={"heliostat": ROOT / "heliostat" / "provider"})
    assert (await stack.up()).succeeded, stack.errors()
    first = stack.outputs()["token"].value
    assert first not in stack.stored()
    assert first not in repr(stack.events)
    assert (await stack.up()).succeeded, stack.errors()
    assert stack.outputs()["token"].value == first
    stack.config["lab:generation"] = "2"
    assert (await stack.up()).succeeded, stack.errors()
    second = stack.outputs()["token"].value
    assert second != first
    assert second not in stack.stored()


def test_the_plugin_hands_it_on_as_a_secret():
    outputs = TokenOutputs(value="a" * 64)
    assert _outputs(TokenHandler(), outputs, Properties({})).secrets == {("value",)}
