"""An application's HTTP surface as a plain ASGI application.

    POST /predict       one row as an object, or many as `{"rows": [...]}`
    GET  /healthz       `{"version": label}`
    GET  /openapi.json  GET /docs
    POST /-/golden      the contract's golden requests through the whole path; clients cannot reach it

Errors are JSON: `{"detail": "<text>"}`, and for what does not fit the contract 422 with FastAPI's
`{"detail": [{"loc", ...}]}`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from pydantic_core import ValidationError, to_json

from heliostat.ml import pages
from heliostat.ml.contracts import Contract, Predictor
from heliostat.ml.prediction_log import PredictionLog
from heliostat.ml.requests import Bodies, problems
from heliostat.spec.workload import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_INLINE_ROWS: Final = 64
"""Requests of more rows are answered in a thread, so that they do not hold up the small ones."""
_JSON: Final = b"application/json"
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}\Z")


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, detail: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"detail": self.detail}


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
        self._openapi = json.dumps(pages.openapi(contract, version, public_path, limits)).encode()
        self._docs = pages.docs(contract, public_path).encode()
        self._routes: dict[str, tuple[str, Callable[[Scope, Receive, bytes], Awaitable[tuple[bytes, bytes]]]]] = {
            "/predict": ("POST", self._predict),
            "/healthz": ("GET", self._fixed(self._health, _JSON)),
            "/openapi.json": ("GET", self._fixed(self._openapi, _JSON)),
            "/docs": ("GET", self._fixed(self._docs, b"text/html; charset=utf-8")),
            "/-/golden": ("POST", self._golden),
        }
        predictor.predict(contract.columns(contract.examples[:1]))  # the first call is slow; no client shall wait for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and the end of the application."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        request_id = _request_id(scope)
        extra: tuple[tuple[bytes, bytes], ...] = ()
        try:
            status = 200
            kind, body = await self._route(scope, receive, request_id)
        except Refusal as refusal:
            status, kind, extra = refusal.status, _JSON, refusal.headers
            body = to_json(refusal.body, inf_nan_mode="strings")
        except Exception as error:  # a bug in workload code: the client hears that, people read the log
            status, kind = 500, _JSON
            text = f"the application failed on this request ({type(error).__name__}); its log has more under this request id"
            body = to_json({"detail": text})
            _report(request_id)
        length = b"%d" % len(body)
        headers = [(b"content-type", kind), (b"content-length", length), (b"x-heliostat-version", self._version), *extra]
        if self._tells_request_id:
            headers.append((b"x-request-id", request_id))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _route(self, scope: Scope, receive: Receive, request_id: bytes) -> tuple[bytes, bytes]:
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        route = self._routes.get(path)
        if route is None:
            known = "POST /predict, GET /healthz, GET /openapi.json and GET /docs"
            raise Refusal(404, f"there is nothing at {path}: there are {known}")
        method, answer = route
        if scope["method"] != method and not (method == "GET" and scope["method"] == "HEAD"):
            raise Refusal(405, f"{path} takes {method}, not {scope['method']}", ((b"allow", method.encode()),))
        return await answer(scope, receive, request_id)

    async def _predict(self, scope: Scope, receive: Receive, request_id: bytes) -> tuple[bytes, bytes]:
        started = time.perf_counter()
        body = await self._body(scope, receive)
        return _JSON, await self._answer(body, request_id, started)

    async def _answer(self, body: bytes, request_id: bytes, started: float | None) -> bytes:
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
        result = to_json(answers[0] if single else {"rows": answers})
        if started is not None:
            self._log.add(request_id, rows, result, time.perf_counter() - started)
        return result

    def _answers_to(self, rows: Sequence[Any]) -> list[Any]:
        scores = self._predictor.predict(self._contract.columns(rows)).tolist()
        respond = self._contract.respond
        return [respond(score) for score in scores]

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limit, kind, length = self._limits.max_body_bytes, b"", b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                kind = value
            elif name == b"content-length":
                length = value
        if kind and not _is_json(kind):
            raise Refusal(415, f"the content type is {kind.decode('latin-1')}: it must be application/json")
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

    async def _golden(self, scope: Scope, receive: Receive, request_id: bytes) -> tuple[bytes, bytes]:
        failures = []
        for golden in self._contract.golden:
            body = golden.request.encode() if isinstance(golden.request, str) else json.dumps(golden.request).encode()
            if reason := await self._fails(golden, body):
                failures.append({"name": golden.name, "reason": reason})
        if failures:
            raise GoldenFailures(failures)
        return _JSON, json.dumps({"passed": len(self._contract.golden)}).encode()

    async def _fails(self, golden: Any, body: bytes) -> str | None:
        try:
            status, answer = 200, json.loads(await self._answer(body, b"-", None))
        except Refusal as refusal:
            status, answer = refusal.status, {"detail": refusal.detail}
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if status != golden.status:
            return f"answered {status} instead of {golden.status}: {answer}"
        if status == 200:
            return _unexpected(golden, answer)
        return None

    def _fixed(self, body: bytes, kind: bytes) -> Callable[[Scope, Receive, bytes], Awaitable[tuple[bytes, bytes]]]:
        async def answer(scope: Scope, receive: Receive, request_id: bytes) -> tuple[bytes, bytes]:
            return kind, body

        return answer

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self._log.close)
                await send({"type": "lifespan.shutdown.complete"})
                return


class GoldenFailures(Refusal):
    """Golden requests that were answered otherwise than the contract expects."""

    def __init__(self, failures: list[dict[str, str]]) -> None:
        super().__init__(500, f"{len(failures)} golden requests failed")
        self.failures = failures

    @property
    def body(self) -> dict[str, Any]:
        """Which failed and why."""
        return {"failures": self.failures}


def _unexpected(golden: Any, answer: Any) -> str | None:
    try:
        if golden.check(answer):
            return None
    except Exception as error:
        return f"its check failed on {answer}: {type(error).__name__}: {error}"
    return f"expected {golden.expected}, got {answer}"


def _request_id(scope: Mapping[str, Any]) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.match(value):
            return bytes(value)
    return uuid.uuid4().hex.encode()


def _is_json(kind: bytes) -> bool:
    media = kind.partition(b";")[0].strip().lower()
    return media == _JSON or (media.startswith(b"application/") and media.endswith(b"+json"))


def _report(request_id: bytes) -> None:
    import logging

    logging.getLogger("ray.serve").exception("request %s failed", request_id.decode("latin-1"))
