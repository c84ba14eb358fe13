"""The tap: what clients asked last, for who compares versions."""

from __future__ import annotations

import json

import pytest
from serving_fakes import JSON, ROW, body, call

from heliostat.serving.tap import Tap, TapQuery, parse_query, sampled


def ring(count, **limits):
    tap = Tap(**limits)
    for number in range(count):
        tap.add(b"r-%d" % number, b"{}", 200, b"[]", 0.001)
    return tap


def ids(page):
    return [each.request_id for each in page.requests]


async def tapped(app, query=b""):
    answer = await call(app, "GET", "/-/tap", query=query)
    return answer.status, answer.json


async def test_the_last_requests_are_told_with_their_answers(app):
    await call(app, "POST", "/predict", body(), x_request_id="me-1", **JSON)
    await call(app, "POST", "/predict", b'{"kind":"\xff"}', x_request_id="me-2", **JSON)
    await call(app, "POST", "/predict", body(size=13), x_request_id="me-3", **JSON)
    status, page = await tapped(app)
    assert status == 200
    first, second, third = page["requests"]
    assert (first["requestId"], first["body"].encode("latin-1"), first["status"]) == ("me-1", body(), 200)
    assert json.loads(first["answer"]) == {"score": 2.0}
    assert 0 < first["milliseconds"] < 1000
    assert (second["body"].encode("latin-1"), second["status"], second["answer"]) == (b'{"kind":"\xff"}', 422, "")
    assert third["status"] == 500


async def test_what_is_no_prediction_is_not_tapped(app):
    await call(app, "GET", "/healthz")
    await call(app, "GET", "/predict")
    await call(app, "POST", "/-/golden")
    await call(app, "POST", "/predict", body(), content_type="text/plain")
    assert (await tapped(app))[1]["requests"] == []


async def test_a_replayed_request_is_answered_with_its_time_and_neither_logged_nor_tapped(app, log):
    answer = await call(app, "POST", "/predict", body(), x_heliostat_replay="1", **JSON)
    assert answer.json == {"score": 2.0}
    assert 0 < float(answer.headers["x-heliostat-milliseconds"]) < 1000
    failed = await call(app, "POST", "/predict", body(size=13), x_heliostat_replay="1", **JSON)
    assert failed.status == 500
    assert float(failed.headers["x-heliostat-milliseconds"]) > 0
    assert not log.entries
    assert (await tapped(app))[1]["requests"] == []
    assert "x-heliostat-milliseconds" not in (await call(app, "POST", "/predict", body(), **JSON)).headers


async def test_golden_requests_and_examples_are_listed_as_bodies(app):
    listed = (await call(app, "GET", "/-/golden")).json["bodies"]
    assert [json.loads(text) if text != "{" else text for text in listed] == [
        ROW,
        "{",
        {"kind": "a", "size": 4.0, "when": "2013-07-09T00:00:00"},
    ]
    assert (await call(app, "PUT", "/-/golden")).json["detail"] == "/-/golden takes POST and GET, not PUT"


@pytest.mark.parametrize("query", [b"limit=-1", b"limit=9999", b"limit=x", b"share=0", b"share=2", b"other=1"])
async def test_a_question_that_does_not_fit_is_refused(app, query):
    status, answer = await tapped(app, query)
    assert status == 422
    assert query.partition(b"=")[0].decode() in answer["detail"]


def test_a_cursor_goes_on_where_it_stopped():
    tap = ring(5)
    first = tap.page(TapQuery(limit=2))
    assert (ids(first), first.more) == (["r-3", "r-4"], False)
    tap.add(b"r-5", b"", 200, b"", 0.001)
    second = tap.page(TapQuery(after=first.cursor))
    assert (ids(second), second.missed, second.more) == (["r-5"], 0, False)
    assert ids(tap.page(TapQuery(after=second.cursor))) == []


def test_a_limit_of_nothing_tells_the_end():
    tap = ring(5)
    end = tap.page(TapQuery(limit=0))
    assert (end.requests, end.more) == ((), False)
    tap.add(b"new", b"", 200, b"", 0.001)
    assert ids(tap.page(TapQuery(after=end.cursor))) == ["new"]


def test_a_page_ends_at_its_limit_and_says_that_there_is_more():
    tap = ring(5)
    oldest = tap.page(TapQuery(after="elsewhere-3", limit=2))
    assert (ids(oldest), oldest.more) == (["r-0", "r-1"], True)
    assert ids(tap.page(TapQuery(after=oldest.cursor, limit=2))) == ["r-2", "r-3"]


def test_a_page_holds_no_more_bytes_than_an_event_loop_can_spare():
    tap = Tap()
    for number in range(7):
        tap.add(b"%d" % number, b"x" * 400_000, 200, b"", 0.001)
    page = tap.page(TapQuery(limit=7))
    assert (ids(page), page.more) == (["0", "1", "2"], True)


def test_the_ring_forgets_the_oldest_by_count_and_by_bytes_and_says_what_was_missed():
    tap = ring(1)
    cursor = tap.page(TapQuery()).cursor
    for number in range(3000):
        tap.add(b"%d" % number, b"", 200, b"", 0.001)
    page = tap.page(TapQuery(after=cursor, limit=1))
    assert (ids(page), page.missed) == (["952"], 952)
    small = ring(10, most_bytes=1000)
    assert ids(small.page(TapQuery())) == ["r-6", "r-7", "r-8", "r-9"]


def test_a_request_larger_than_the_ring_is_not_kept():
    tap = ring(3, most_bytes=1000)
    tap.add(b"large", b"x" * 2000, 200, b"", 0.001)
    assert ids(tap.page(TapQuery())) == []
    tap.add(b"next", b"", 200, b"", 0.001)
    assert ids(tap.page(TapQuery())) == ["next"]


def test_after_a_restart_an_old_cursor_reads_from_the_oldest():
    cursor = ring(100).page(TapQuery()).cursor
    assert ids(ring(3).page(TapQuery(after=cursor))) == ["r-0", "r-1", "r-2"]


def test_a_share_is_drawn_by_the_id_and_grows_monotonously():
    names = [b"warm-%d-0" % number for number in range(2000)]
    small = {name for name in names if sampled(name, 0.1)}
    assert 140 < len(small) < 260
    assert small < {name for name in names if sampled(name, 0.5)}
    tap = Tap()
    for name in names:
        tap.add(name, b"", 200, b"", 0.001)
    page = tap.page(parse_query(b"share=0.1&limit=2048"))
    assert {name.encode() for name in ids(page)} == small
    assert tap.page(TapQuery(after=page.cursor)).requests == ()
