"""Requests that are not the application's, passed on to Serve's own ASGI application: its health check above all."""

from __future__ import annotations

from typing import Any

from heliostat.serving.rest.exchange import Fields, Request, Response


async def answer(application: Any, request: Request) -> Response:
    """What an ASGI application answers; whole, so not for one that goes on answering.

    Raises:
        RuntimeError: it did not answer.
    """
    found: dict[str, Any] = {}
    body = bytearray()
    messages = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.update(message)
        else:
            body.extend(message.get("body", b""))

    await application(_scope(request), receive, send)
    if "status" not in found:
        raise RuntimeError(f"{request.method} {request.path} was not answered")
    fields: Fields = tuple((name.lower(), value) for name, value in found.get("headers", ()))
    kind = dict(fields).get(b"content-type", b"application/octet-stream")
    others = tuple(pair for pair in fields if pair[0] not in (b"content-type", b"content-length", b"connection", b"date"))
    return Response(found["status"], kind, bytes(body), others)


def _scope(request: Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": request.query,
        "headers": list(request.headers.items()),
        "client": None,
        "server": None,
        "state": {},
    }
