"""Compressed bodies, and browsers whose pages are of another origin."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from pydantic import ValidationError
from serving_fakes import JSON, ROW, answers, body, call

from heliostat.spec.workload import Serving

GZIPPED = gzip.compress(body())


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", GZIPPED),
        ("x-gzip", GZIPPED),
        ("GZIP", gzip.compress(body()[:9]) + gzip.compress(body()[9:])),
        ("deflate", zlib.compress(body())),
        ("identity", body()),
        ("deflate, gzip", gzip.compress(zlib.compress(body()))),
        ("gzip", gzip.compress(json.dumps({"rows": [ROW] * 100}).encode())),
    ],
)
async def test_a_compressed_body_is_read_and_kept_as_what_it_holds(app, log, encoding, sent):
    answer = await call(app, "POST", "/predict", sent, content_encoding=encoding, **JSON)
    assert answer.status == 200, answer.json
    assert len(log.entries) == 1
    [tapped] = (await call(app, "GET", "/-/tap")).json["requests"]
    assert json.loads(tapped["body"]), "replays are sent without an encoding"


@pytest.mark.parametrize(
    ("encoding", "sent", "status", "says"),
    [
        ("br", b"x", 415, "the content encoding is br: "),
        ("gzip, zstd", b"x", 415, "the content encoding is zstd: "),
        ("gzip", body(), 400, "the body is not gzip"),
        ("gzip", GZIPPED[:-9], 400, "it breaks off"),
        ("gzip", GZIPPED + b"more", 400, "the body is not gzip"),
        ("deflate", GZIPPED, 400, "the body is not deflate"),
        ("gzip", gzip.compress(b" " * 20_001), 413, "more than 20000 bytes once decoded"),
        ("gzip", gzip.compress(b" " * 15_000) * 2, 413, "more than 20000 bytes once decoded"),
        ("gzip", gzip.compress(b" " * 1_000_000_000, 1)[:4_000_000], 413, "more than 20000 bytes once decoded"),
        ("gzip", b"", 422, "the body is empty"),
    ],
)
async def test_a_body_whose_encoding_does_not_do_is_refused_with_its_name(app, log, encoding, sent, status, says):
    answer = await call(app, "POST", "/predict", sent, content_encoding=encoding, **JSON)
    assert answer.status == status
    assert says in answer.json["detail"]
    assert (answer.headers.get("accept-encoding") == "gzip, deflate") == (status == 415)
    assert not log.entries


PAGE = "https://app.example.com"


async def test_a_page_of_a_named_origin_may_ask_and_read(log):
    app = answers(log, cors_origins=(PAGE, "http://localhost:3000"))
    asks = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
    before = await call(app, "OPTIONS", "/predict", origin=PAGE, **asks)
    assert (before.status, before.body) == (204, b"")
    assert before.headers == {
        "access-control-allow-origin": PAGE,
        "access-control-expose-headers": "x-request-id, x-heliostat-version",
        "vary": "origin",
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-allow-headers": "content-type, content-encoding, x-request-id",
        "access-control-max-age": "600",
    }
    for sent, status in ((body(), 200), (b"{", 422), (body(size=13), 500)):
        answer = await call(app, "POST", "/predict", sent, origin=PAGE, **JSON)
        assert answer.status == status
        assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (PAGE, "origin")


async def test_a_page_of_another_origin_may_not(log):
    app = answers(log, cors_origins=(PAGE,))
    for other in ("https://evil.example", PAGE + ".evil.example", "null", PAGE.upper()):
        before = await call(app, "OPTIONS", "/predict", origin=other, access_control_request_method="POST")
        assert before.status == 403
        answer = await call(app, "POST", "/predict", body(), origin=other, **JSON)
        assert answer.status == 200, "who is no browser needs no leave"
        for each in (before, answer):
            assert "access-control-allow-origin" not in each.headers
            assert each.headers["vary"] == "origin"


async def test_any_page_may_where_any_origin_is_named(log):
    app = answers(log, cors_origins=("*",))
    assert (await call(app, "OPTIONS", "/predict", origin=PAGE, access_control_request_method="POST")).status == 204
    assert (await call(app, "GET", "/healthz", origin=PAGE)).headers["access-control-allow-origin"] == "*"


async def test_without_origins_there_is_no_cors(app):
    before = await call(app, "OPTIONS", "/predict", origin=PAGE, access_control_request_method="POST")
    assert before.status == 405
    answer = await call(app, "POST", "/predict", body(), origin=PAGE, **JSON)
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


async def test_options_that_are_no_preflight_are_answered_as_before(log):
    assert (await call(answers(log, cors_origins=("*",)), "OPTIONS", "/predict", origin=PAGE)).status == 405


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "https://A.b", "ftp://a.example", "https://*.a.example", ""]
)
def test_what_no_browser_sends_as_an_origin_is_refused_in_the_config(origin):
    with pytest.raises(ValidationError, match="corsOrigins"):
        Serving.model_validate({"corsOrigins": [origin]})


@pytest.mark.parametrize(
    "origin", ["*", "https://a.example", "http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"]
)
def test_origins_are_taken_as_browsers_send_them(origin):
    assert Serving.model_validate({"corsOrigins": [origin]}).cors_origins == (origin,)
