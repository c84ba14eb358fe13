"""An application's HTTP surface as a plain ASGI application.

    POST /predict       one row as an object, or many as `{"rows": [...]}`
    GET  /healthz       `{"version": label}`
    GET  /openapi.json  GET /docs
    POST /-/golden      the contract's golden requests through the whole path
    GET  /-/golden      `{"bodies": [...]}`: its golden requests and examples, as they would be sent
    GET  /-/tap         the last requests with their answers; see `heliostat.ml.tap`

An answer has `x-request-id` where its id is logged: with a prediction, or with a failure of the application.

Clients cannot reach `/-/`. A request with `x-heliostat-replay` was sent before, or is a copy of a client's: it is answered as
any, with the time that took in `x-heliostat-milliseconds`, and neither logged nor kept for the tap.

Errors are JSON: `{"detail": "<text>"}`, and for what does not fit the contract 422 with FastAPI's
`{"detail": [{"loc", ...}]}`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from pydantic_core import ValidationError, to_json

from heliostat.ml import golden, pages
from heliostat.ml.contracts import Contract, Predictor
from heliostat.ml.prediction_log import PredictionLog
from heliostat.ml.refusals import Refusal
from heliostat.ml.requests import Bodies, problems, request_id
from heliostat.ml.tap import Tap, question_of
from heliostat.spec.workload import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_INLINE_ROWS: Final = 64
"""Requests of more rows are answered in a thread, so that they do not hold up the small ones."""
_JSON: Final = b"application/json"


class _Request:
    """One request, as the routes need it."""

    __slots__ = ("headers", "id", "logged", "receive", "scope", "seconds")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.id = request_id(self.headers.get(b"x-request-id"))
        self.logged = False
        """Whether the id is in the prediction log, or in the replica's: one that is nowhere is not told."""
        self.seconds: float | None = None
        """How long a replayed prediction took."""


_Route = Callable[[_Request], Awaitable[tuple[bytes, bytes]]]


class Answers:
    """The ASGI application of one replica."""

    def __init__(
        self,
        contract: Contract[Any, Any],
        predictor: Predictor,
        version: str,
        public_path: str,
        limits: Limits,
        log: PredictionLog,
        tells_request_id: bool = True,
    ) -> None:
        """`tells_request_id`: whether answers carry `x-request-id`; under Serve its own middleware adds it."""
        self._contract = contract
        self._predictor = predictor
        self._version = version.encode()
        self._limits = limits
        self._log = log
        self._tells_request_id = tells_request_id
        self._bodies = Bodies(contract.row, limits.max_rows)
        self._health = json.dumps({"version": version}).encode()
        self._tap = Tap()
        self._openapi = json.dumps(pages.openapi(contract, version, public_path, limits)).encode()
        self._docs = pages.docs(contract, public_path).encode()
        self._routes: dict[tuple[str, str], _Route] = {
            ("POST", "/predict"): self._predict,
            ("GET", "/healthz"): _fixed(self._health, _JSON),
            ("GET", "/openapi.json"): _fixed(self._openapi, _JSON),
            ("GET", "/docs"): _fixed(self._docs, b"text/html; charset=utf-8"),
            ("POST", "/-/golden"): self._golden,
            ("GET", "/-/golden"): _fixed(golden.listed(contract), _JSON),
            ("GET", "/-/tap"): self._tapped,
        }
        predictor.predict(contract.columns(contract.examples[:1]))  # the first call is slow; no client shall wait for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and the end of the application."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        request = _Request(scope, receive)
        extra: tuple[tuple[bytes, bytes], ...] = ()
        try:
            status = 200
            kind, body = await self._route(request)
        except Refusal as refusal:
            status, kind, extra = refusal.status, _JSON, refusal.headers
            body = to_json(refusal.body, inf_nan_mode="strings")
        except Exception as error:  # a bug in workload code: the client hears that, people read the log
            status, kind = 500, _JSON
            text = f"the application failed on this request ({type(error).__name__}); its log has more under this request id"
            body = to_json({"detail": text})
            _report(request.id)
            request.logged = True
        length = b"%d" % len(body)
        headers = [(b"content-type", kind), (b"content-length", length), (b"x-heliostat-version", self._version), *extra]
        if self._tells_request_id and request.logged:
            headers.append((b"x-request-id", request.id))
        if request.seconds is not None:
            headers.append((b"x-heliostat-milliseconds", b"%.4f" % (request.seconds * 1000)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _route(self, request: _Request) -> tuple[bytes, bytes]:
        path: str = request.scope["path"]
        root: str = request.scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        method: str = request.scope["method"]
        route = self._routes.get((method, path)) or (self._routes.get(("GET", path)) if method == "HEAD" else None)
        if route is not None:
            return await route(request)
        if taken := [known for known, there in self._routes if there == path]:
            text = f"{path} takes {' and '.join(taken)}, not {method}"
            raise Refusal(405, text, ((b"allow", ", ".join(taken).encode()),))
        known = "POST /predict, GET /healthz, GET /openapi.json and GET /docs"
        raise Refusal(404, f"there is nothing at {path}: there are {known}")

    async def _predict(self, request: _Request) -> tuple[bytes, bytes]:
        started = time.perf_counter()
        body = await self._body(request)
        try:
            rows, answer = await self._answer(body)
        except Exception as error:
            self._note(request, body, error.status if isinstance(error, Refusal) else 500, b"", started)
            raise
        seconds = self._note(request, body, 200, answer, started)
        if request.seconds is None:
            request.logged = self._log.add(request.id, body, len(rows), answer, seconds)
        return _JSON, answer

    def _note(self, request: _Request, body: bytes, status: int, answer: bytes, started: float) -> float:
        seconds = time.perf_counter() - started
        if b"x-heliostat-replay" in request.headers:
            request.seconds = seconds
        else:
            self._tap.add(request.id, body, status, answer, seconds)
        return seconds

    async def _answer(self, body: bytes) -> tuple[Sequence[Any], bytes]:
        """The rows in a body and the answer to them."""
        if not body.strip():
            raise Refusal(422, 'the body is empty: send one row as a JSON object, or many as {"rows": [...]}')
        try:
            rows, single = self._bodies.read(body)
        except ValidationError as error:
            raise Refusal(422, problems(error, body)) from None
        if len(rows) > _INLINE_ROWS:
            answers = await asyncio.get_running_loop().run_in_executor(None, self._answers_to, rows)
        else:
            answers = self._answers_to(rows)
        return rows, to_json(answers[0] if single else {"rows": answers})

    def _answers_to(self, rows: Sequence[Any]) -> list[Any]:
        scores = self._predictor.predict(self._contract.columns(rows)).tolist()
        if len(scores) != len(rows):
            raise ValueError(f"the predictor gave {len(scores)} scores for {len(rows)} rows")
        respond = self._contract.respond
        return [respond(score) for score in scores]

    async def _body(self, request: _Request) -> bytes:
        limit, receive = self._limits.max_body_bytes, request.receive
        kind = request.headers.get(b"content-type")
        if kind and kind != _JSON and not _is_json(kind):
            raise Refusal(415, f"the content type is {kind.decode('latin-1')}: it must be application/json")
        length = request.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            raise self._too_large(int(length))
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > limit:
                raise self._too_large(len(body))
            return body
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise self._too_large(size)
            parts.append(part)
        return b"".join(parts)

    def _too_large(self, size: int) -> Refusal:
        limit = self._limits.max_body_bytes
        detail = f"the body has {size} bytes or more: at most {limit} are taken; send the rows in several requests"
        return Refusal(413, detail, ((b"connection", b"close"),))

    async def _golden(self, request: _Request) -> tuple[bytes, bytes]:
        return _JSON, await golden.passed(self._contract, self._answer)

    async def _tapped(self, request: _Request) -> tuple[bytes, bytes]:
        try:
            question = question_of(request.scope.get("query_string", b""))
        except ValueError as error:
            raise Refusal(422, str(error)) from None
        return _JSON, self._tap.page(question).model_dump_json().encode()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self._log.close)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _fixed(body: bytes, kind: bytes) -> _Route:
    async def answer(request: _Request) -> tuple[bytes, bytes]:
        return kind, body

    return answer


def _is_json(kind: bytes) -> bool:
    media = kind.partition(b";")[0].strip().lower()
    return media == _JSON or (media.startswith(b"application/") and media.endswith(b"+json"))


def _report(request_id: bytes) -> None:
    import logging

    logging.getLogger("ray.serve").exception("request %s failed", request_id.decode("latin-1"))
