"""What an application answers, by method and path.

    POST /predict       one row as an object, or many as `{"rows": [...]}`
    GET  /healthz       `{"version": label}`
    GET  /openapi.json  GET /docs
    POST /-/golden      the contract's golden requests through the whole path
    GET  /-/golden      `{"bodies": [...]}`: its golden requests and examples, as they would be sent
    GET  /-/tap         the last requests with their answers; see `heliostat.serving.tap`

An answer has `x-request-id` where its id is logged: with a prediction, or with a failure of the application.

Clients cannot reach `/-/`. A request with `x-heliostat-replay` was sent before, or is a copy of a client's: it is answered as
any, with the time that took in `x-heliostat-milliseconds`, and neither logged nor kept for the tap.

A body may be compressed (gzip or deflate). Pages of other origins may use an application whose `cors_origins` names them.

Errors are JSON: `{"detail": "<text>"}`, and for what does not fit the contract 422 with FastAPI's
`{"detail": [{"loc", ...}]}`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from pydantic_core import ValidationError, to_json

from heliostat.ml.contracts import Contract, Predictor
from heliostat.serving import golden
from heliostat.serving.bodies import Bodies, is_many, problems, request_id
from heliostat.serving.errors import HttpError
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.rest import pages
from heliostat.serving.rest.cors import Cors
from heliostat.serving.rest.encodings import decoded
from heliostat.serving.rest.exchange import JSON, Fields, Request, Response, Work
from heliostat.serving.tap import Tap, parse_query
from heliostat.spec.rollouts import Version

_INLINE_ROWS: Final = 64
_INLINE_BYTES: Final = 16_384
"""Requests of more rows or bytes are answered in a thread, so that they do not hold up the small ones."""


class _Exchange:
    """One request on its way to its answer."""

    __slots__ = ("id", "logged", "request", "seconds")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.id = request_id(request.headers.get(b"x-request-id"))
        self.logged = False
        """Whether the id is in the prediction log, or in the replica's: one that is nowhere is not told."""
        self.seconds: float | None = None
        """How long a replayed prediction took."""


_Route = Callable[[_Exchange], tuple[bytes, bytes]]
"""From a request to content type and body."""


class RestApplication:
    """The application of one replica; an `exchange.Application`. Safe to use from several threads."""

    def __init__(
        self,
        contract: Contract[Any, Any],
        predictor: Predictor,
        version: Version,
        public_path: str,
        log: PredictionLog,
    ) -> None:
        self._contract = contract
        self._predictor = predictor
        limits = version.limits
        self._log = log
        self._cors = Cors(version.cors_origins)
        self._version: tuple[bytes, bytes] = (b"x-heliostat-version", version.label.encode())
        self._bodies = Bodies(contract.row, limits.max_rows)
        self._tap = Tap()
        self.max_body_bytes = limits.max_body_bytes
        health = json.dumps({"version": version.label}).encode()
        openapi = json.dumps(pages.openapi(contract, version.label, public_path, limits)).encode()
        self._routes: dict[tuple[str, str], _Route] = {
            ("POST", "/predict"): self._predict,
            ("GET", "/healthz"): _fixed(health, JSON),
            ("GET", "/openapi.json"): _fixed(openapi, JSON),
            ("GET", "/docs"): _fixed(pages.docs(contract, public_path).encode(), b"text/html; charset=utf-8"),
            ("POST", "/-/golden"): self._golden,
            ("GET", "/-/golden"): _fixed(golden.listed(contract), JSON),
            ("GET", "/-/tap"): self._tapped,
        }
        predictor.predict(contract.columns(contract.examples[:1]))  # the first call is slow; no client shall wait for it

    def reply(self, request: Request) -> Response | Work:
        """The answer, or where it takes long, how to get it. Never raises."""
        if _takes_long(request):
            return partial(self._replied, request)
        return self._replied(request)

    def too_large(self, request: Request, size: int) -> Response:
        """The answer to a request whose body has `size` bytes or more, which is over the limit."""
        refusal, exchange = self._oversized(size), _Exchange(request)
        return self._response(exchange, refusal.status, JSON, to_json(refusal.body))

    def close(self) -> None:
        """Write and store what is still to be logged."""
        self._log.close()

    def _replied(self, request: Request) -> Response:
        exchange = _Exchange(request)
        extra: Fields = ()
        try:
            if (preflight := self._cors.preflight(request)) is not None:
                return preflight
            kind, body = self._route(exchange)
            status = 200
        except HttpError as refusal:
            status, kind, extra = refusal.status, JSON, refusal.headers
            body = to_json(refusal.body, inf_nan_mode="strings")
        except BaseException as error:
            # A bug in workload code, sys.exit and a panic in Rust among them: the client hears that, people read the log, and
            # the replica goes on.
            status, kind = 500, JSON
            text = f"the application failed on this request ({type(error).__name__}); its log has more under this request id"
            body = to_json({"detail": text})
            _report(exchange.id)
            exchange.logged = True
        return self._response(exchange, status, kind, body, extra)

    def _response(self, exchange: _Exchange, status: int, kind: bytes, body: bytes, extra: Fields = ()) -> Response:
        fields = (self._version, *extra, *self._cors.fields(exchange.request))
        if exchange.logged:
            fields = (*fields, (b"x-request-id", exchange.id))
        if exchange.seconds is not None:
            fields = (*fields, (b"x-heliostat-milliseconds", b"%.4f" % (exchange.seconds * 1000)))
        return Response(status, kind, body, fields)

    def _route(self, exchange: _Exchange) -> tuple[bytes, bytes]:
        method, path = exchange.request.method, exchange.request.path
        route = self._routes.get((method, path)) or (self._routes.get(("GET", path)) if method == "HEAD" else None)
        if route is not None:
            return route(exchange)
        if taken := [known for known, there in self._routes if there == path]:
            text = f"{path} takes {' and '.join(taken)}, not {method}"
            raise HttpError(405, text, ((b"allow", ", ".join(taken).encode()),))
        known = "POST /predict, GET /healthz, GET /openapi.json and GET /docs"
        raise HttpError(404, f"there is nothing at {path}: there are {known}")

    def _predict(self, exchange: _Exchange) -> tuple[bytes, bytes]:
        started = time.perf_counter()
        body = self._body(exchange.request)
        try:
            rows, answer = self._answer(body)
        except BaseException as error:
            self._note(exchange, body, error.status if isinstance(error, HttpError) else 500, b"", started)
            raise
        seconds = self._note(exchange, body, 200, answer, started)
        if exchange.seconds is None:
            exchange.logged = self._log.add(exchange.id, body, len(rows), answer, seconds)
        return JSON, answer

    def _note(self, exchange: _Exchange, body: bytes, status: int, answer: bytes, started: float) -> float:
        seconds = time.perf_counter() - started
        if b"x-heliostat-replay" in exchange.request.headers:
            exchange.seconds = seconds
        else:
            self._tap.add(exchange.id, body, status, answer, seconds)
        return seconds

    def _answer(self, body: bytes) -> tuple[Sequence[Any], bytes]:
        """The rows in a body and the answer to them."""
        if not body.strip():
            raise HttpError(422, 'the body is empty: send one row as a JSON object, or many as {"rows": [...]}')
        try:
            rows, single = self._bodies.read(body)
        except ValidationError as error:
            raise HttpError(422, problems(error, body)) from None
        scores = self._predictor.predict(self._contract.columns(rows)).tolist()
        if len(scores) != len(rows):
            raise ValueError(f"the predictor gave {len(scores)} scores for {len(rows)} rows")
        respond = self._contract.respond
        return rows, to_json(respond(scores[0]) if single else {"rows": [respond(score) for score in scores]})

    def _body(self, request: Request) -> bytes:
        kind = request.headers.get(b"content-type")
        if kind and kind != JSON and not _is_json(kind):
            raise HttpError(415, f"the content type is {kind.decode('latin-1')}: it must be application/json")
        body, limit = request.body, self.max_body_bytes
        encoding = request.headers.get(b"content-encoding")
        if encoding:
            body = decoded(body, encoding, limit)
        if len(body) > limit:
            raise self._oversized(len(body))
        return body

    def _oversized(self, size: int) -> HttpError:
        limit = self.max_body_bytes
        detail = f"the body has {size} bytes or more: at most {limit} are taken; send the rows in several requests"
        return HttpError(413, detail)

    def _golden(self, exchange: _Exchange) -> tuple[bytes, bytes]:
        return JSON, golden.passed(self._contract, self._answer)

    def _tapped(self, exchange: _Exchange) -> tuple[bytes, bytes]:
        try:
            question = parse_query(exchange.request.query)
        except ValueError as error:
            raise HttpError(422, str(error)) from None
        return JSON, self._tap.page(question).model_dump_json().encode()


def _takes_long(request: Request) -> bool:
    body = request.body
    if len(body) > _INLINE_BYTES or b"content-encoding" in request.headers or request.path.startswith("/-/"):
        return True
    return is_many(body) and body.count(b"{") > _INLINE_ROWS + 1


def _fixed(body: bytes, kind: bytes) -> _Route:
    return lambda exchange: (kind, body)


def _is_json(kind: bytes) -> bool:
    media = kind.partition(b";")[0].strip().lower()
    return media == JSON or (media.startswith(b"application/") and media.endswith(b"+json"))


def _report(request_id: bytes) -> None:
    import logging

    logging.getLogger("ray.serve").exception("request %s failed", request_id.decode("latin-1"))
