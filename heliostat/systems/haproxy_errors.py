"""What HAProxy answers by itself, in the shape of an application's own errors: `{"error": "<text>", "detail": "<text>"}`.

Clients of the Open Inference Protocol read `error`, all others `detail`.

What is no request by its head (no HTTP, more bytes than the buffer takes, a header without a colon), HAProxy 2.8 refuses
while it parses, before there is a request and with a page of its own that no configuration changes. So heads have room beyond
what is taken, and it is a rule that refuses those.
"""

from __future__ import annotations

from typing import Final

BUFFER_BYTES: Final = 131_072
"""Holds a head, or a body that may have to be sent again."""
HEAD_BYTES: Final = 65_536
MOST_HEADERS: Final = 1_000

_JSON: Final = "content-type application/json"
_TEXTS: Final = {
    400: "The request did not arrive whole, or is not HTTP.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    500: "The traffic plane failed.",
    501: "The traffic plane does not do what the request asks for.",
    502: "The replica broke off its answer.",
    503: "No healthy replica now.",
    504: "The replica did not answer in time.",
}


def defaults() -> list[str]:
    """The lines of the defaults that make HAProxy's errors JSON."""
    return [f"http-error status {status} {_reply(status)}" for status in _TEXTS]


def unavailable() -> str:
    """The rule that answers 503."""
    return f"http-request return status 503 {_reply(503)}"


def not_found(text: str) -> str:
    """The rule that answers 404, without its condition."""
    return f"http-request return status 404 {_JSON} string {_body(text)}"


def large_head() -> str:
    """The rule that refuses a head of more than HEAD_BYTES."""
    size = "req.hdrs,length"
    body = _body(f"The head has %[{size}] bytes: at most {HEAD_BYTES} are taken.")
    return f"http-request return status 431 {_JSON} lf-string {body} if {{ {size} gt {HEAD_BYTES} }}"


def _reply(status: int) -> str:
    retry = "hdr Retry-After 1 " if status == 503 else ""
    return f"{_JSON} {retry}string {_body(_TEXTS[status])}"


def _body(text: str) -> str:
    return f"""'{{"error":"{text}","detail":"{text}"}}'"""
