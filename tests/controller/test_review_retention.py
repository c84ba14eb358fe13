"""Items of review queues go when their time is over; what is ground truth by them stays."""

from __future__ import annotations

import logging
import os
import sqlite3

from rollouts_in_memory import quick
from test_reviews import ASKED, call, item, truths, world

from heliostat.controller.review_retention import ReviewRetention
from heliostat.spec.review import RETENTION_SECONDS, Review, items_prefix
from heliostat.systems.objects import Directory

__all__ = ["quick", "world"]
DAY = 86_400


def age(world, seconds):
    """The queue's objects as if they were written so long after their items were asked."""
    for path in (world.cluster.directory / "objects" / items_prefix("flights")).iterdir():
        os.utime(path, (ASKED + seconds, ASKED + seconds))


def refuse(_events):
    raise sqlite3.OperationalError("database or disk is full")


async def at(world, seconds):
    """What a look removes, so long after items were asked."""
    world.cluster.reconciler.now = lambda: ASKED + seconds
    return await ReviewRetention(world.cluster.reconciler).remove("flights")


async def test_an_item_goes_when_its_time_is_over_and_what_was_agreed_on_stays(world):
    world.cluster.reconciler.now = lambda: ASKED + 5
    first = await call(world, "ada", "GET", "/next")
    for who in ("ada", "bob"):
        await call(world, who, "PUT", f"/{first['id']}", {"label": "late"})
    age(world, 1.0)
    assert await at(world, RETENTION_SECONDS) == 0, "it is not over at its very end"
    assert await at(world, RETENTION_SECONDS + 2) == 2, "of the other one somebody said something later"
    table = world.cluster.reconciler.store.reviews
    assert table.count("flights") == 1 and table.files("flights") == set()
    assert list(Directory(world.cluster.directory / "objects").list(items_prefix("flights"))) == []
    assert await at(world, RETENTION_SECONDS + 6) == 1
    assert table.count("flights") == 0 and table.labels("flights") == {}
    assert len(truths(world)) == 1, "a label is no less true"
    assert await at(world, RETENTION_SECONDS + 7) == 0
    assert table.applications() == []
    await world.cluster.ledger.flush()
    told = [each for each in reversed(await world.client.audit(50)) if each.action == "review.expire"]
    assert [(each.after["reviewItems"], each.subject, each.by) for each in told] == [
        (2, "flights", "the queue's retention"), (1, "flights", "the queue's retention"),
    ], "what removes nothing is not told"  # fmt: skip


async def test_what_cannot_be_told_is_not_removed_and_the_next_look_removes_it(world, monkeypatch, caplog):
    world.cluster.reconciler.now = lambda: ASKED + 5
    await call(world, "ada", "GET", "/next")
    table, retention = world.cluster.reconciler.store.reviews, ReviewRetention(world.cluster.reconciler)
    world.cluster.reconciler.now = lambda: ASKED + RETENTION_SECONDS + 2
    with monkeypatch.context() as full, caplog.at_level(logging.WARNING):
        full.setattr(world.cluster.reconciler.store.audits, "post", refuse)
        await retention.look()
    assert table.count("flights") == 3 and "database or disk is full" in caplog.text
    await retention.look()
    assert table.count("flights") == 0


async def test_what_the_object_store_is_yet_to_be_told_keeps_its_item(world, monkeypatch):
    world.cluster.reconciler.now = lambda: ASKED + 5
    first = await call(world, "ada", "GET", "/next")
    table = world.cluster.reconciler.store.reviews
    table.find("flights", {first["id"]: ("late", b"{}\n")})
    assert await at(world, 2 * RETENTION_SECONDS) == 2 and table.count("flights") == 1
    await world.cluster.reconciler.ledger.truths.flush()
    assert await at(world, 2 * RETENTION_SECONDS) == 1


async def test_what_is_over_is_not_read_again(world):
    late = item(9, at=ASKED + 2 * RETENTION_SECONDS).model_dump_json().encode() + b"\n"
    objects = Directory(world.cluster.directory / "objects")
    objects.put(f"{items_prefix('flights')}b.jsonl", item(8).model_dump_json().encode() + b"\n" + late)
    world.cluster.reconciler.now = lambda: ASKED + 2 * RETENTION_SECONDS + 1
    assert (await call(world, "ada", "GET", "/next"))["waiting"] == 1


def test_the_default_is_not_told_so_that_no_version_is_another_for_it():
    answer = {"kind": "probability", "field": "late"}
    assert "retentionSeconds" not in Review.model_validate({"answer": answer}).model_dump()
    shorter = Review.model_validate({"answer": answer, "retention_seconds": 7 * DAY})
    assert shorter.model_dump()["retentionSeconds"] == 7 * DAY
