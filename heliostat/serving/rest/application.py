"""What an application answers, by method and path.

    POST /predict       one row as an object, or many as `{"rows": [...]}`
    /v2...              the Open Inference Protocol; see `heliostat.serving.rest.inference`
    GET  /healthz       `{"version": label}`
    GET  /openapi.json  GET /docs
    POST /-/golden      the contract's golden requests through the whole path
    GET  /-/golden      `{"bodies": [...]}`: its golden requests and examples, as they would be sent
    GET  /-/tap         the last requests with their answers; see `heliostat.serving.tap`
    GET  /-/postprocessing   what each step did to answers, counted since the replica began
    GET  /-/expectations  how many requests were not as the schema expects
    GET  /-/privacy     how many requests there were, and how many of them were not kept for want of consent

An answer has `x-request-id` where its id is logged: with a prediction, or with a failure of the application.

Clients cannot reach `/-/`. A request with `x-heliostat-replay` was sent before, or is a copy of a client's: it is answered as
any, with the time that took in `x-heliostat-milliseconds`, and neither logged nor kept for the tap.

A body may be compressed (gzip or deflate). Pages of other origins may use an application whose `cors_origins` names them.

Errors are JSON: `{"detail": "<text>"}`, and for what does not fit the contract 422 with FastAPI's
`{"detail": [{"loc", ...}]}`. Below /v2 the same text is `error` as well, as that protocol has it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from pydantic_core import to_json

from heliostat.serving import golden
from heliostat.serving.bodies import is_many
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.failures import failure, report
from heliostat.serving.inference.errors import error_text
from heliostat.serving.rest import inference, pages
from heliostat.serving.rest.cors import Cors
from heliostat.serving.rest.encodings import decoded
from heliostat.serving.rest.exchange import JSON, Fields, Request, Response, Work
from heliostat.serving.rest.inference import InferRequest
from heliostat.serving.tap import parse_query
from heliostat.spec.expectations import EXPECTATIONS
from heliostat.spec.personal import PRIVACY
from heliostat.spec.postprocessing import POSTPROCESSING

_INLINE_ROWS: Final = 64
_INLINE_BYTES: Final = 16_384
"""Requests of more rows or bytes are answered in a thread, so that they do not hold up the small ones."""


_Route = Callable[[Request, Call], tuple[bytes, bytes]]
"""From a request to content type and body."""
_INFERENCE: Final = "/v2"


class RestApplication:
    """A data plane by HTTP; an `exchange.Application`. Safe to use from several threads."""

    def __init__(self, plane: DataPlane, public_path: str) -> None:
        """`public_path`: what clients see the application below; OpenAPI says it."""
        self.plane = plane
        self.max_body_bytes = plane.max_body_bytes
        contract, version = plane.contract, plane.version
        self._predicts = version.interface.has_rest
        self._name = public_path.strip("/")
        self._output_names = tuple(field.name for field in plane.signature.outputs)
        self._cors = Cors(version.cors_origins, consent=plane.personal.consent_header)
        self._version_label = version.label
        self._version: tuple[bytes, bytes] = (b"x-heliostat-version", version.label.encode())
        health = json.dumps({"version": version.label}).encode()
        openapi = json.dumps(pages.openapi(contract, version.label, public_path, version.limits)).encode()
        self._routes: dict[tuple[str, str], _Route] = {
            ("POST", "/predict"): self._predict,
            ("GET", "/healthz"): _fixed(health, JSON),
            ("GET", "/openapi.json"): _fixed(openapi, JSON),
            ("GET", "/docs"): _fixed(pages.docs(contract, public_path).encode(), b"text/html; charset=utf-8"),
            ("POST", "/-/golden"): self._golden,
            ("GET", "/-/golden"): _fixed(golden.listed(contract), JSON),
            ("GET", "/-/tap"): self._tapped,
            ("GET", POSTPROCESSING): lambda request, call: (JSON, plane.tally.counts().model_dump_json().encode()),
            ("GET", EXPECTATIONS): lambda request, call: (JSON, plane.breaches.model_dump_json().encode()),
            ("GET", PRIVACY): lambda request, call: (JSON, plane.kept.model_dump_json().encode()),
        }
        self._routes |= self._inference_routes()

    def reply(self, request: Request) -> Response | Work:
        """The answer, or where it takes long, how to get it. Never raises."""
        if _takes_long(request):
            return partial(self._replied, request)
        return self._replied(request)

    def too_large(self, request: Request, size: int) -> Response:
        """The answer to a request whose body has `size` bytes or more, which is over the limit."""
        refusal = self.plane.oversized(size)
        return self._response(request, Call(None, replayed=False), refusal.status, JSON, _error_body(request, refusal.body))

    def close(self) -> None:
        """Write and store what is still to be logged."""
        self.plane.close()

    def _replied(self, request: Request) -> Response:
        call = self.plane.call(request.headers)
        extra: Fields = ()
        try:
            if (preflight := self._cors.preflight(request)) is not None:
                return preflight
            kind, body = self._route(request, call)
            status = 200
        except HttpError as refusal:
            status, kind, extra = refusal.status, JSON, refusal.headers
            body = _error_body(request, refusal.body)
        except BaseException as error:
            # A bug in workload code, sys.exit and a panic in Rust among them: the client hears that, people read the log, and
            # the replica goes on.
            status, kind = 500, JSON
            body = _error_body(request, {"detail": failure(error)})
            report(call.request_id)
            call.logged = True
        return self._response(request, call, status, kind, body, extra)

    def _response(self, request: Request, call: Call, status: int, kind: bytes, body: bytes, extra: Fields = ()) -> Response:
        return Response(status, kind, body, (self._version, *extra, *self._cors.fields(request), *call.told()))

    def _route(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        method, path = request.method, request.path
        route = self._routes.get((method, path)) or (self._routes.get(("GET", path)) if method == "HEAD" else None)
        if route is not None:
            return route(request, call)
        if taken := [known for known, there in self._routes if there == path]:
            text = f"{path} takes {' and '.join(taken)}, not {method}"
            raise HttpError(405, text, ((b"allow", ", ".join(taken).encode()),))
        if path.startswith(f"{_INFERENCE}/"):
            # Who asks for a version that is not here is mistaken, and the version that is here is not.
            raise HttpError(400 if path.endswith("/infer") else 404, inference.not_here(path, self._name, self._version_label))
        known = "POST /predict, GET /healthz, GET /openapi.json, GET /docs and GET /v2"
        raise HttpError(404, f"there is nothing at {path}: there are {known}")

    def _predict(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        started = time.perf_counter()
        self._require_predictions(call)
        return JSON, self.plane.predict(call, json_body(request, self.max_body_bytes), started)

    def _infer(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        started = time.perf_counter()
        self._require_predictions(call)
        length = request.headers.get(inference.HEADER)
        limit = self.max_body_bytes
        body = json_body(request, limit) if length is None else decoded_body(request, limit)
        asked = InferRequest(body, length, self._output_names)
        call.name(asked.id)
        outputs = self.plane.infer(call, asked.tensors, started)
        encoded, binary_at = asked.encoded(self._name, self._version_label, outputs)
        if binary_at is not None:
            call.fields = ((inference.HEADER, b"%d" % binary_at),)
        return inference.media_type(binary_at), encoded

    def _require_predictions(self, call: Call) -> None:
        """Replays are of the analyses, which ask over HTTP whatever clients ask by."""
        if not self._predicts and not call.replayed:
            raise HttpError(400, f"{self._name} answers predictions over gRPC alone: set its `interface` to both, or call it")

    def _inference_routes(self) -> dict[tuple[str, str], _Route]:
        signature = self.plane.signature
        inputs, outputs = ([field.metadata() for field in fields] for fields in (signature.inputs, signature.outputs))
        told = inference.documents(self._name, self._version_label, inputs, outputs)
        paths = inference.model_paths(self._name, self._version_label)
        return {("GET", path): _fixed(body, JSON) for path, body in told.items()} | {
            ("POST", f"{path}/infer"): self._infer for path in paths
        }

    def _golden(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        return JSON, json.dumps({"passed": self.plane.check_golden()}).encode()

    def _tapped(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        try:
            query = parse_query(request.query)
        except ValueError as error:
            raise HttpError(422, str(error)) from None
        return JSON, self.plane.tap.page(query).model_dump_json().encode()


def json_body(request: Request, limit: int) -> bytes:
    """A request's body, decoded to at most `limit` bytes.

    Raises:
        HttpError: it is said to be no JSON, or its encoding is not taken.
    """
    kind = request.headers.get(b"content-type")
    if kind and kind != JSON and not _is_json(kind):
        raise HttpError(415, f"the content type is {kind.decode('latin-1')}: it must be application/json")
    return decoded_body(request, limit)


def decoded_body(request: Request, limit: int) -> bytes:
    """A request's body, decoded to at most `limit` bytes.

    Raises:
        HttpError: its encoding is not taken.
    """
    encoding = request.headers.get(b"content-encoding")
    return decoded(request.body, encoding, limit) if encoding else request.body


def _takes_long(request: Request) -> bool:
    body = request.body
    if len(body) > _INLINE_BYTES or b"content-encoding" in request.headers or request.path.startswith("/-/"):
        return True
    if request.path.startswith(_INFERENCE):
        return inference.row_count(body) > _INLINE_ROWS
    return is_many(body) and body.count(b"{") > _INLINE_ROWS + 1


def _error_body(request: Request, body: dict[str, Any]) -> bytes:
    if request.path.startswith(_INFERENCE):
        body = {"error": error_text(body.get("detail", "")), **body}
    return to_json(body, inf_nan_mode="strings")


def _fixed(body: bytes, kind: bytes) -> _Route:
    return lambda request, call: (kind, body)


def _is_json(kind: bytes) -> bool:
    media = kind.partition(b";")[0].strip().lower()
    return media == JSON or (media.startswith(b"application/") and media.endswith(b"+json"))
