"""An application as Serve takes one: by ASGI, for what comes by Serve's own proxy, and to end with the replica."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from inspect import isawaitable
from typing import Any

from heliostat.serving.rest.exchange import Application, Request, Response, add_header, error_response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_SET_BY_SERVE = b"x-request-id"
_INTERNAL = "/-/"


class AsgiApplication:
    """An application by ASGI."""

    def __init__(self, answers: Application) -> None:
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and the end of the application."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            response = await self._response(scope, receive)
            if response.trailers:
                response = error_response(
                    501, "calls of gRPC come by the traffic plane: Serve's own proxy passes no trailers on"
                )
            fields = [pair for pair in response.head if pair[0] != _SET_BY_SERVE]
            await send({"type": "http.response.start", "status": response.status, "headers": fields})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    async def _response(self, scope: Scope, receive: Receive) -> Response:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path.startswith(_INTERNAL):
            # The controller asks for these, by the replica's own port, before it gives it any traffic.
            text = "requests to this replica pass through Serve, which heliostat.systems.serve_ingress should have prevented"
            return error_response(500, f"{text}; install the release of Ray that requirements.lock names")
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            add_header(headers, name, value)
        request = Request(scope["method"], path, scope.get("query_string", b""), headers)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._answers.max_body_bytes:
                return self._answers.too_large(request, len(body))
        request.body = bytes(body)
        reply = self._answers.reply(request)
        if isinstance(reply, Response):
            return reply
        return await reply if isawaitable(reply) else await asyncio.get_running_loop().run_in_executor(None, reply)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._answers.close)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
