"""Calls of gRPC to a replica, as the traffic plane passes them on: over HTTP/1.1, an answer's status behind it or in its head.

    /inference.GRPCInferenceService/...      the Open Inference Protocol
    /heliostat.<application>.Predictor/...   the contract's own service
    /grpc.health.v1.Health/Check

Where the interface is `rest`, of these the health alone, and what the protocol asks of the server, which has no model in it.
What is no call is answered by the application over HTTP. Metadata are header fields: `x-request-id` and `x-heliostat-replay`
mean what they mean there, and an answer has `x-heliostat-version` and `x-request-id`. The deadline of a call is its client's
to keep.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from google.protobuf.message import DecodeError

from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.failures import failure, report
from heliostat.serving.grpc import calls, messages
from heliostat.serving.grpc.inference import InferenceService
from heliostat.serving.grpc.own import OwnService
from heliostat.serving.inference.errors import error_text
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.exchange import Request, Response, Work
from heliostat.spec.proto import parse

_HEALTH: Final = "/grpc.health.v1.Health/Check"
_INLINE_BYTES: Final = 4_096
"""Larger calls are answered in a thread, so that they do not hold up the small ones."""
_Method = Callable[[str, bytes, Call, float], bytes]
"""From path and message to the answer's message."""


class GrpcApplication:
    """A data plane by gRPC beside HTTP; an `exchange.Application`. Safe to use from several threads."""

    def __init__(self, plane: DataPlane, rest: RestApplication, name: str, definition: str) -> None:
        """`name`: the application's; `definition`: the contract's own, as its file has it, without which it has no service.

        Raises:
            ValueError: the definition cannot be read.
        """
        self._rest, self._name = rest, name
        self.max_body_bytes = rest.max_body_bytes
        self._version = (b"x-heliostat-version", plane.version.label.encode())
        self._call = plane.call
        self._served = plane.version.interface.has_grpc
        service = InferenceService(plane, name)
        self._methods: dict[str, _Method] = {**service.of_the_server, _HEALTH: self._health}
        if self._served:
            self._methods |= service.of_the_model
        if self._served and definition:
            self._methods |= OwnService(plane, parse(definition)).methods

    def reply(self, request: Request) -> Response | Work:
        """The answer, or where it takes long, how to get it. Never raises."""
        if not _is_call(request):
            return self._rest.reply(request)
        if len(request.body) > _INLINE_BYTES:
            return partial(self._replied, request)
        return self._replied(request)

    def too_large(self, request: Request, size: int) -> Response:
        """The answer to a request whose body has `size` bytes or more, which is over the limit."""
        if not _is_call(request):
            return self._rest.too_large(request, size)
        text = f"the call has {size} bytes or more: at most {self.max_body_bytes} are taken; send the rows in several calls"
        return calls.failed(calls.Status.RESOURCE_EXHAUSTED, 413, text, (self._version,))

    def close(self) -> None:
        """Write and store what is still to be logged."""
        self._rest.close()

    def _replied(self, request: Request) -> Response:
        started = time.perf_counter()
        call = self._call(request.headers)
        try:
            return calls.answered(self._answered(request, call, started), (self._version, *call.told()))
        except HttpError as refusal:
            code, status, text = calls.code_of(refusal), refusal.status, error_text(refusal.detail)
        except DecodeError as error:
            code, status, text = calls.Status.INVALID_ARGUMENT, 422, f"the message cannot be read: {error}"
        except BaseException as error:
            code, status, text = calls.Status.INTERNAL, 500, failure(error)
            report(call.request_id)
            call.logged = True
        return calls.failed(code, status, text, (self._version, *call.told()))

    def _answered(self, request: Request, call: Call, started: float) -> bytes:
        method = self._methods.get(request.path)
        if method is None:
            known = ", ".join(self._methods)
            why = "" if self._served else f". {self._name} answers predictions over HTTP alone: set its `interface` to both"
            raise HttpError(501, f"there is no method {request.path[:200]}: there are {known}{why}")
        encoding = request.headers.get(b"grpc-encoding", b"identity")
        message = calls.message_in(request.body, encoding, self.max_body_bytes)
        return method(request.path, message, call, started)

    def _health(self, _path: str, message: bytes, _call: Call, _started: float) -> bytes:
        asked = messages.HealthCheckRequest.FromString(message)
        if asked.service not in ("", self._name):
            raise HttpError(404, f"there is no service {asked.service[:80]!r} here: this is {self._name!r}")
        found: bytes = messages.HealthCheckResponse(status=messages.SERVING).SerializeToString()
        return found


def _is_call(request: Request) -> bool:
    return request.headers.get(b"content-type", b"").startswith(calls.KIND)
