"""A client over gRPC, by the contract's own service; it needs the package's extra `grpc`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Generic, Self

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from .errors import FailedError, RejectedError, UnavailableError
from .exchange import Answer, Retries, Row
from .messages import filled, read

_REJECTED = {
    grpc.StatusCode.INVALID_ARGUMENT: 422,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 413,
    grpc.StatusCode.UNIMPLEMENTED: 404,
}
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
DEFAULT_RETRIES = Retries()


class CallClient(Generic[Row, Answer]):
    """Asks an application by calls, and waits. Safe to use from several threads."""

    answer: ClassVar[type[Any]]
    most_rows: ClassVar[int]
    package: ClassVar[str]
    """Of the contract's definition."""
    descriptor: ClassVar[bytes]
    row_fields: ClassVar[Mapping[str, Any]]
    """How a row's fields stand in its message (`messages`)."""
    answer_fields: ClassVar[Mapping[str, Any]]

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        retries: Retries = DEFAULT_RETRIES,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """`target`: host and port, e.g. `models.example.com:443`; `timeout`: of one attempt, in seconds; `credentials`: for
        TLS, by default none."""
        self._timeout, self._retries = timeout, retries
        options = (("grpc.enable_retries", 0),)
        made = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
        self._channel = made
        pool = DescriptorPool()
        pool.AddSerializedFile(self.descriptor)
        self._request: Any = GetMessageClass(pool.FindMessageTypeByName(f"{self.package}.PredictRequest"))
        response = GetMessageClass(pool.FindMessageTypeByName(f"{self.package}.PredictResponse"))
        self._ask: Callable[..., Any] = self._channel.unary_unary(
            f"/{self.package}.Predictor/Predict",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def predict(self, row: Row, *, request_id: str | None = None) -> Answer:
        """The answer to a row; `request_id`: what the application's log calls it.

        Raises:
            RejectedError: it does not fit.
            UnavailableError: nobody answered.
            FailedError: the application failed.
        """
        return self._asked([row], request_id)[0]

    def predict_many(self, rows: Sequence[Row]) -> list[Answer]:
        """The answers to rows, in their order; in several calls where there are many. Raises what `predict` does."""
        parts = [rows[at : at + self.most_rows] for at in range(0, len(rows), self.most_rows)]
        return [answer for part in parts for answer in self._asked(part, None)]

    def close(self) -> None:
        """End its connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _asked(self, rows: Sequence[Row], request_id: str | None) -> list[Answer]:
        request = self._request()
        for row in rows:
            filled(request.rows.add(), row.model_dump(mode="json", by_alias=True, exclude_unset=True), self.row_fields)
        name, failures = request_id or uuid.uuid4().hex, 0
        while True:
            try:
                found = self._ask(request, timeout=self._timeout, metadata=(("x-request-id", name),))
                return [self.answer.model_validate(read(row, self.answer_fields)) for row in found.rows]
            except grpc.RpcError as error:
                failures += 1
                self._raise(error, name, failures)
            time.sleep(self._retries.wait(failures, None))

    def _raise(self, error: Any, name: str, failures: int) -> None:
        """Raise what an error means, where there is no use in another attempt."""
        code, text = error.code(), error.details() or ""
        if code in _REJECTED:
            raise RejectedError(_REJECTED[code], text, name) from None
        if code not in _AGAIN:
            raise FailedError(f"{code.name}: {text}", name) from None
        if failures >= self._retries.attempts:
            told = f"no answer after {failures} attempts; the last: {code.name}: {text}"
            raise UnavailableError(told, name) from None
