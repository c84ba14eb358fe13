"""The page of reviews as a person uses it: by keys alone, on a phone, without a network, and with whatever an item holds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fake_cluster import FakeCluster
from rollouts_in_memory import quick
from test_controller import bring, desired
from test_permissions import person
from test_reviews import REVIEW, item

from heliostat.spec.roles import AccessPolicy, Role
from heliostat.systems.objects import Directory
from tests.cli.browsed import Browser, browser, needs_chromium

__all__ = ["quick"]
pytestmark = needs_chromium
HTML = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
LONG = "word " * 4_000 + "unbroken" * 400
INPUTS = (
    {"note": HTML, HTML: "a name"},
    {"note": LONG, "lines": "one\ntwo"},
    {"pixels": [0] * 784, "none": None},
    "text alone",
    None,
)


@asynccontextmanager
async def served(cluster: FakeCluster) -> AsyncIterator[str]:
    """The controller's API over a port, on the loop that the test runs in."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(cluster.app, log_level="error", lifespan="off"))
    running = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


class Page:
    """The page in a browser, spoken to off the loop that serves it."""

    def __init__(self, shown: Browser) -> None:
        self.shown = shown

    async def enter(self, address: str, token: str, width: int = 1280) -> None:
        """Open it, and come in by keys alone."""
        await asyncio.to_thread(self.shown.show, address, width)
        await asyncio.to_thread(self.shown.write, token)
        await asyncio.to_thread(self.shown.press, "Enter")

    async def press(self, key: str, **given: object) -> None:
        await asyncio.to_thread(lambda: self.shown.press(key, **given))  # type: ignore[arg-type]

    async def until(self, expression: str) -> None:
        await asyncio.to_thread(self.shown.wait, expression)

    async def asks(self, expression: str) -> object:
        return await asyncio.to_thread(self.shown.asks, expression)

    async def says(self, text: str) -> None:
        """Wait until it is told."""
        await self.until(f"document.body.innerText.includes({text!r})")

    async def network(self, away: bool) -> None:
        given = {"offline": away, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await asyncio.to_thread(lambda: self.shown.call("Network.emulateNetworkConditions", **given))


@pytest.fixture
async def world(tmp_path):
    cluster = FakeCluster(tmp_path)
    # By the last digits of their ids ada begins with the first, and bob with the fourth.
    items = [item(0, id=f"{0:016x}{place}{0:015x}", inputs=inputs) for place, inputs in zip("047ad", INPUTS, strict=True)]
    Directory(tmp_path / "objects").put(
        "reviews/flights/items/a.jsonl", b"".join(each.model_dump_json().encode() + b"\n" for each in items)
    )
    async with cluster.running() as client:
        declared = desired(1)
        review = REVIEW.model_copy(update={"reviewers": 1})
        await bring(client, declared.model_copy(update={"version": declared.version.model_copy(update={"review": review})}))
        policy = {name: person(f"{name}'s", Role.REVIEWER) for name in ("ada", "bob")}
        await client.grant(AccessPolicy(people={**policy, "guest": person("guest's", Role.VIEWER)}))
        async with served(cluster) as address:
            with browser(tmp_path / "profile") as shown:
                yield cluster, f"{address}/review/flights", Page(shown)


def truths(cluster: FakeCluster) -> set[str]:
    folder = cluster.directory / "objects" / "ground-truth" / "flights" / "reviews"
    return {path.stem for path in folder.iterdir()} if folder.exists() else set()


async def test_by_keys_alone_everything_is_labelled_undone_skipped_and_done(world):
    cluster, address, page = world
    await page.enter(address, "ada's")
    await page.says("0 labelled, 5 to go")
    await page.press("1")
    await page.says("You said on time, the model late.")
    await page.says("1 labelled, 4 to go")
    await page.press("u")
    await page.says("0 labelled, 5 to go")
    await page.press("2", repeat=True)
    await page.press("s")
    await page.says("Skipped")
    await page.until("!busy")  # keys that come before the next item is there are no word on it
    assert truths(cluster) == set(), "a key that is held says nothing"
    for left in range(4, 0, -1):
        await page.says(f"{5 - left - 1} labelled, {left + 1} to go")
        # As a French keyboard tells the digit without Shift.
        await page.press("&", code="Digit1")
    await page.says("There is nothing to review now. You skipped 1")
    assert len(truths(cluster)) == 4
    await page.press("u")
    await page.says("3 labelled, 2 to go")
    assert len(truths(cluster)) == 3


async def test_whatever_an_item_holds_is_text_and_on_a_phone_its_labels_are_in_sight(world):
    _, address, page = world
    await page.enter(address, "ada's", width=390)
    for number in range(len(INPUTS)):
        await page.says(f"{number} labelled")
        assert await page.asks("document.title") == "Review of flights"
        assert await page.asks("document.querySelectorAll('main img, main script').length") == 0
        assert await page.asks("document.documentElement.scrollWidth") <= 390
        lowest = (
            "Math.max(...[...document.querySelectorAll('#labels button')].map(each => each.getBoundingClientRect().bottom))"
        )
        assert await page.asks(f"{lowest} <= innerHeight"), "labels are in sight"
        await page.press("2")
    await page.says("There is nothing to review now.")
    assert page.shown.complaints == []
    assert all(each.startswith(address.partition("/review")[0]) for each in page.shown.requests)


async def test_without_a_network_nothing_is_lost_and_the_same_key_says_it_again(world):
    cluster, address, page = world
    await page.enter(address, "ada's")
    await page.says("5 to go")
    await page.network(away=True)
    await page.press("2")
    await page.says("The controller is not reached.")
    assert truths(cluster) == set() and await page.asks("!document.getElementById('item').hidden")
    await page.network(away=False)
    await page.press("2")
    await page.says("1 labelled, 4 to go")
    assert len(truths(cluster)) == 1


async def test_who_comes_without_a_network_looks_again_once_there_is_one(world):
    _, address, page = world
    await asyncio.to_thread(page.shown.show, address, 1280)
    await page.network(away=True)
    await asyncio.to_thread(page.shown.write, "ada's")
    await page.press("Enter")
    await page.says("The controller is not reached.")
    await page.network(away=False)
    await page.press("r")
    await page.says("0 labelled, 5 to go")


async def test_who_may_not_is_told_why_and_may_leave_for_somebody_who_may(world):
    _, address, page = world
    await page.enter(address, "nobody's")
    await page.says("This token lets nobody in.")
    await asyncio.to_thread(page.shown.write, "guest's")
    await page.press("Enter")
    await page.says("may not review")
    await page.asks("document.getElementById('leave').click()")
    await asyncio.to_thread(page.shown.write, "bob's")
    await page.press("Enter")
    await page.says("bob")
    await page.says("0 labelled, 5 to go")
    assert "bob's" not in str(await page.asks("document.documentElement.outerHTML"))


async def test_two_people_at_once_are_shown_different_items(world, tmp_path):
    cluster, address, page = world
    with browser(tmp_path / "other") as shown:
        other = Page(shown)
        await page.enter(address, "ada's")
        await other.enter(address, "bob's")
        await page.says("5 to go")
        await other.says("5 to go")
        told = "document.getElementById('inputs').innerText"
        assert await page.asks(told) != await other.asks(told)
        await asyncio.gather(page.press("1"), other.press("2"))
        await page.says("1 labelled")
        await other.says("1 labelled")
    assert len(truths(cluster)) == 2


async def test_new_items_come_to_who_waits_for_them(world):
    cluster, address, page = world
    await page.enter(address, "ada's")
    for number in range(len(INPUTS)):
        await page.says(f"{number} labelled")
        await page.press("1")
    await page.says("There is nothing to review now.")
    line = item(99, inputs={"note": "late"}).model_dump_json().encode()
    Directory(cluster.directory / "objects").put("reviews/flights/items/b.jsonl", line)
    await page.until(
        "(document.dispatchEvent(new KeyboardEvent('keydown', {key: 'r'})), !document.getElementById('item').hidden)"
    )
    assert "late" in str(await page.asks("document.getElementById('inputs').innerText"))
