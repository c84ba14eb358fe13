"""What the language host does in the SDK's place has to come out as the SDK's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi.runtime import resource, settings

from heliostat.engine.protocol.language_host import sparing


class _Declared:
    """Three constructors deep, as a resource's class, its base and the base's base are."""

    def __init__(self, depth: int, trace: Any) -> None:
        self.found = trace() if depth == 1 else _Declared(depth - 1, trace).found


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_resource_is_declared_where_the_sdk_says_it_is(depth: int) -> None:
    ours, theirs = (_Declared(depth, trace).found for trace in (sparing.declared_at, resource._get_stack_trace))
    assert ours.frames[:1] == theirs.frames[:1]


@pytest.fixture
def stack_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "get_stack", lambda: "dev")
    monkeypatch.setattr(settings, "get_project", lambda: "shop")


@pytest.mark.parametrize(
    "arguments",
    [
        ("web", "aws:s3:Bucket"),
        ("web", "aws:s3:Bucket", "urn:pulumi:dev::shop::my:Component::outer"),
        ("web", "aws:s3:Bucket", ""),
        ("web", "aws:s3:Bucket", None, "other", "prod"),
        (pulumi.Output, "aws:s3:Bucket", "urn:pulumi:dev::shop::my:Component::outer"),
    ],
)
async def test_urns_are_made_as_the_sdk_makes_them(stack_of_tests: None, arguments: tuple[Any, ...]) -> None:
    given = tuple(pulumi.Output.from_input("late") if one is pulumi.Output else one for one in arguments)
    made = sparing.urn_maker(resource.create_urn, pulumi.Output.from_input, settings)
    assert await made(*given).future() == await resource.create_urn(*given).future()


async def test_waiting_for_outputs_ends_at_the_first_failure_and_not_at_the_first_success() -> None:
    loop = asyncio.get_running_loop()
    good, bad, late = loop.create_future(), loop.create_future(), loop.create_future()
    waiting = asyncio.ensure_future(sparing.Outstanding().wait([good, bad, late], asyncio.FIRST_COMPLETED))
    await asyncio.sleep(0)
    good.set_result(1)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    bad.set_exception(ValueError("wrong"))
    done, others = await waiting
    assert (done, others) == ({good, bad}, {late})
    assert isinstance(bad.exception(), ValueError)


async def test_waiting_for_outputs_ends_once_all_are_there() -> None:
    outputs = [asyncio.get_running_loop().create_future() for _ in range(3)]
    outstanding = sparing.Outstanding()
    waiting = asyncio.ensure_future(outstanding.wait(outputs, asyncio.FIRST_COMPLETED))
    for output in outputs:
        await asyncio.sleep(0)
        output.set_result(None)
    assert await waiting == (set(outputs), set())


async def test_waiting_again_watches_what_came_since() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    outstanding = sparing.Outstanding()
    waiting = asyncio.ensure_future(outstanding.wait([first], asyncio.FIRST_COMPLETED))
    await asyncio.sleep(0)
    first.set_result(None)
    await waiting
    again = asyncio.ensure_future(outstanding.wait([second], asyncio.FIRST_COMPLETED))
    await asyncio.sleep(0)
    assert not again.done()
    second.set_result(None)
    assert await again == ({second}, set())
