"""HTTP/1.1 between the traffic plane and a replica, without what Serve does around each request.

Serve's own handling of a request (ids, headers, context, metrics, a task or two) costs a replica more than a prediction does.
So Serve places, heals, scales and stops replicas and has its server, uvicorn, listen on each one's port; but the connections
to it are of this class, which parses with uvicorn's parser, llhttp by httptools, and answers the application's requests
itself: in the same turn of the event loop and in one write. What is not below the application's prefix is Serve's, such as its
`/-/healthz`, and goes to Serve's ASGI application.

One write matters beside its speed: a replica that is killed between the head and the body of an answer loses a request that
others could have answered, for once HAProxy has read a head, it asks nobody else.

A connection answers its requests in their order. While one is worked on in a thread, those behind it wait, and so they do
while the client does not read what it was answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import unquote

import httptools

from heliostat.serving.rest import foreign
from heliostat.serving.rest.exchange import Application, Request, Response, add_header, awaited, error_response
from heliostat.serving.slots import Slots

_logger = logging.getLogger("ray.serve")

_MOST_HEAD_BYTES: Final = 65_536
_MOST_WAITING: Final = 32
"""Requests that may wait on one connection before no more is read from it."""
_STALLED_SECONDS: Final = 60.0
"""A request of which nothing more arrives for so long is given up."""
_TUNNEL: Final = b"CONNECT"
_FAILED: Final = "the application failed on this request; its log has more"
_LINGER_SECONDS: Final = 2.0
"""How long a client that is still sending what nobody will read has to read why."""


class Connection(asyncio.Protocol):
    """One client's connection; uvicorn makes it, by the last four parameters."""

    def __init__(
        self,
        application: Application,
        prefix: str,
        slots: Slots,
        config: Any,
        server_state: Any,
        app_state: Any = None,
        _loop: Any = None,
    ) -> None:
        """`prefix`: of the application's paths, without a slash at its end."""
        self._application = application
        self._prefix = prefix
        self._slots = slots
        self._foreign: Any = config.loaded_app
        self._patience: float = config.timeout_keep_alive
        self._connections: set[Any] = server_state.connections
        self._tasks: set[Any] = server_state.tasks
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        # Of the request that is arriving.
        self._arriving = self._headed = self._expects = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._size = 0
        # Of those that have arrived.
        self._waiting: deque[tuple[Request | Response, bool]] = deque()
        self._busy = self._full = False
        self._last = False
        """No request is taken any more."""
        self._ending = False
        """The replica is stopping."""
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Called by asyncio."""
        self._transport = transport
        self._connections.add(self)
        self._timer = self._loop.call_later(self._patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio: what is worked on is finished and logged, and its answer goes nowhere."""
        self._connections.discard(self)
        self._transport = None
        self._waiting.clear()
        if self._timer:
            self._timer.cancel()
        del self._parser  # it holds this connection, and this one held it

    def shutdown(self) -> None:
        """Called by uvicorn once the replica is to stop: what has begun to arrive is still answered."""
        self._ending = True
        if self._transport and not (self._arriving or self._busy or self._waiting):
            self._transport.close()

    def pause_writing(self) -> None:
        """Called by asyncio: the client does not read."""
        self._full = True

    def resume_writing(self) -> None:
        """Called by asyncio: it reads again."""
        self._full = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._heard = self._loop.time()
        if not self._headed:
            self._size += len(data)
        while data and not self._last:
            data = self._parsed(data)
        if self._arriving and not self._last:
            if not self._headed and self._size > _MOST_HEAD_BYTES:
                self._refuse(431, f"the request's head has more than {_MOST_HEAD_BYTES} bytes")
            self._ask_for_body()

    def _plain(self) -> bytes:
        """The head without its offer to speak another protocol, which may be passed over; the parser would drop its body."""
        kept = [(name, value) for name, value in self._headers.items() if name not in (b"connection", b"upgrade")]
        fields = b"".join(b"%b: %b\r\n" % pair for pair in kept)
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self._parser.get_method(), self._url, fields)
        self._parser = httptools.HttpRequestParser(self)
        return head

    def _ask_for_body(self) -> None:
        """Where its client waits to be asked, in its turn."""
        asked = self._expects and self._arriving and not (self._last or self._busy or self._waiting)
        if asked and self._transport:
            self._expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _parsed(self, data: bytes) -> bytes:
        """Have data parsed, and return what is still to be parsed."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return b"" if self._last else self._plain() + data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError:
            _logger.exception("a request could not be taken")
            self._refuse(500, "the application failed while the request arrived")
        except httptools.HttpParserError as error:
            if not self._last:  # else it is what came behind a request that said it would be the last
                self._refuse(400, f"this is no HTTP request: {error}")
        return b""

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._arriving, self._headed, self._expects = True, False, False
        self._url, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if not self._headed:  # what follows a body in chunks is of no use here
            add_header(self._headers, name.lower(), value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._headed, self._size = True, 0
        self._expects = self._headers.get(b"expect", b"").lower() == b"100-continue"
        length = self._headers.get(b"content-length")
        if length and int(length) > self._application.max_body_bytes:
            self._too_large(int(length))

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self._size += len(part)
        if self._size > self._application.max_body_bytes:
            self._too_large(self._size)
        elif not self._body:
            self._body = part
        else:
            # Chunks may be of a byte each: kept one by one, they would take forty times their size.
            self._body = self._body if isinstance(self._body, bytearray) else bytearray(self._body)
            self._body += part

    def on_message_complete(self) -> None:
        """Called by the parser."""
        parser = self._parser
        self._arriving, self._size = False, 0
        if self._last or (parser.should_upgrade() and parser.get_method() != _TUNNEL):
            return
        request = self._request()
        # HTTP/1.0 has to be asked to keep a connection, and told that it is kept.
        self._last = not parser.should_keep_alive() or parser.get_http_version() == "1.0" or not isinstance(request, Request)
        self._last |= parser.get_method() == _TUNNEL
        self._take(request, self._last)

    def _request(self) -> Request | Response:
        url = self._url
        if not url.startswith(b"/"):
            try:
                parsed = httptools.parse_url(url)
                url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
            except httptools.HttpParserInvalidURLError:
                return error_response(400, "the request's target is no URL")
        target, _, query = url.partition(b"?")
        path = target.decode("latin-1")
        if "%" in path:
            path = unquote(path)
        return Request(self._parser.get_method().decode("latin-1"), path, query, self._headers, bytes(self._body))

    def _take(self, thing: Request | Response, closes: bool) -> None:
        """Answer a request, or send what is one's answer, in its turn."""
        if self._busy or self._full or self._waiting:
            self._waiting.append((thing, closes))
            if len(self._waiting) >= _MOST_WAITING and self._transport:
                self._transport.pause_reading()
        else:
            self._answer(thing, closes)

    def _answer(self, thing: Request | Response, closes: bool) -> None:
        if isinstance(thing, Response):
            self._send(thing, True, closes)
            return
        self._busy = True
        below = thing.path.removeprefix(self._prefix)
        if below[:1] not in ("", "/") or not thing.path.startswith(self._prefix):
            task = self._loop.create_task(foreign.answer(self._foreign, thing))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(partial(self._end, thing, closes))
            return
        thing.path = below
        if self._slots.free:
            self._begin(thing, closes)
        else:
            self._slots.wait(partial(self._begin_late, thing, closes))

    def _begin_late(self, request: Request, closes: bool) -> None:
        if self._transport:  # else nobody waits for it any more
            self._begin(request, closes)
            self._go_on()

    def _begin(self, request: Request, closes: bool) -> None:
        try:
            reply = self._application.reply(request)
        except Exception:
            _logger.exception("a request could not be answered")
            reply = error_response(500, _FAILED)
        if isinstance(reply, Response):
            self._busy = False
            self._send(reply, request.method != "HEAD", closes)
            return
        if isawaitable(reply):
            task = self._loop.create_task(awaited(reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(partial(self._end, request, closes))
            return
        self._slots.take()
        future = self._loop.run_in_executor(None, reply)
        future.add_done_callback(lambda _: self._slots.leave())
        future.add_done_callback(partial(self._end, request, closes))

    def _end(self, request: Request, closes: bool, ended: asyncio.Future[Response]) -> None:
        try:
            response = ended.result()
        except (Exception, asyncio.CancelledError):
            _logger.exception("a request could not be answered")
            response = error_response(500, _FAILED)
        self._busy = False
        self._send(response, request.method != "HEAD", closes)
        self._go_on()

    def _go_on(self) -> None:
        """Answer what waited."""
        while self._waiting and not (self._busy or self._full):
            self._answer(*self._waiting.popleft())
        self._ask_for_body()
        if len(self._waiting) < _MOST_WAITING and self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def _send(self, response: Response, with_body: bool, closes: bool) -> None:
        if self._transport is None:
            return
        self._heard = self._loop.time()
        closes = closes or (self._ending and not (self._arriving or self._waiting))
        self._transport.write(response.encoded(with_body, closes))
        if not closes:
            return
        self._last = True
        if self._arriving:
            # It would be reset if it were closed now, and a client that still sends would not read the answer.
            self._transport.write_eof()
            self._loop.call_later(_LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()

    def _refuse(self, status: int, text: str) -> None:
        self._last = True
        self._take(error_response(status, text), True)

    def _too_large(self, size: int) -> None:
        if not self._last:
            self._last = True
            request = self._request()
            self._take(self._application.too_large(request, size) if isinstance(request, Request) else request, True)

    def _look(self) -> None:
        """End a connection that nothing comes from: one timer a connection, and not one a request."""
        patience = max(self._patience, _STALLED_SECONDS) if self._arriving else self._patience
        left = patience - (self._loop.time() - self._heard)
        if self._busy or self._full or self._waiting:
            left = patience
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif self._arriving and not self._last:
            self._arriving = False
            self._refuse(408, f"nothing more of the request came for {patience:g} s")
        elif self._transport:
            self._transport.close()
