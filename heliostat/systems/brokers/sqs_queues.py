"""SQS: the queues of one application, by the label of the version whose tasks they hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from heliostat.spec.task_queue import SqsBroker
from heliostat.systems.brokers.base import BrokerAwayError
from heliostat.systems.errors import PermanentError

P = ParamSpec("P")
T = TypeVar("T")

_KEPT_SECONDS: Final = 1_209_600
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "SignatureDoesNotMatch"})
_GONE: Final = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
_STALE: Final = frozenset(
    {"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"}
)


def _told(call: Callable[P, T]) -> Callable[P, T]:
    @wraps(call)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _DENIED:
                raise PermanentError(
                    f"SQS refuses {error.operation_name}: {code}; allow it for whoever runs replicas"
                ) from None
            raise BrokerAwayError(f"SQS: {error}") from None
        except BotoCoreError as error:
            raise BrokerAwayError(f"SQS does not answer: {error}") from None

    return guarded


class Queues:
    """Queues named `<prefix>-<application>-<label>`, made where they are first needed."""

    def __init__(self, address: SqsBroker, application: str) -> None:
        self._client: Any = boto3.client(
            "sqs",
            region_name=address.region,
            endpoint_url=address.endpoint,
            config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2, "mode": "standard"}),
        )
        self._prefix = f"{address.prefix}-{application}-"
        self._urls: dict[str, str] = {}

    @_told
    def send(self, label: str, body: str) -> None:
        """Put a message into a version's queue."""
        try:
            self._client.send_message(QueueUrl=self._url(label, make=True), MessageBody=body)
        except ClientError as error:
            if _code(error) not in _GONE:
                raise
            self._urls.pop(label, None)
            self._client.send_message(QueueUrl=self._url(label, make=True), MessageBody=body)

    @_told
    def receive(self, label: str, seconds: float, wait_seconds: int) -> dict[str, Any] | None:
        """Take one message for so long; None where none comes in time."""
        try:
            found = self._client.receive_message(
                QueueUrl=self._url(label),
                MaxNumberOfMessages=1,
                VisibilityTimeout=max(1, round(seconds)),
                WaitTimeSeconds=wait_seconds,
                AttributeNames=["ApproximateReceiveCount"],
            )
        except ClientError as error:
            if _code(error) not in _GONE:
                raise
            self._urls.pop(label, None)
            # Nobody has sent anything to it yet.
            time.sleep(wait_seconds)
            return None
        return next(iter(found.get("Messages") or ()), None)

    @_told
    def change(self, label: str, receipt: str, seconds: float) -> bool:
        """Hold a message for so much longer from now; False where it is held no more."""
        try:
            # 12 hours are the most that SQS takes.
            timeout = min(43_200, round(seconds))
            self._client.change_message_visibility(QueueUrl=self._url(label), ReceiptHandle=receipt, VisibilityTimeout=timeout)
        except ClientError as error:
            if _code(error) in _STALE | _GONE:
                return False
            raise
        return True

    @_told
    def delete(self, label: str, receipt: str) -> None:
        """Remove a message."""
        try:
            self._client.delete_message(QueueUrl=self._url(label), ReceiptHandle=receipt)
        except ClientError as error:
            if _code(error) not in _STALE | _GONE:
                raise

    @_told
    def labels(self) -> list[str]:
        """The versions that have a queue."""
        pages = self._client.get_paginator("list_queues").paginate(QueueNamePrefix=self._prefix)
        names = [url.rpartition("/")[2] for page in pages for url in page.get("QueueUrls") or ()]
        # Another application's name may begin with this one's and a dash; a label has a number, a dash and eight digits.
        return sorted(
            label for name in names if re.fullmatch(r"([0-9]+-)?[0-9a-z]+", label := name.removeprefix(self._prefix))
        )

    @_told
    def size(self, label: str) -> tuple[int, int]:
        """About how many messages wait, and are held."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible")
        try:
            found = self._client.get_queue_attributes(QueueUrl=self._url(label), AttributeNames=list(names))["Attributes"]
        except ClientError as error:
            if _code(error) not in _GONE:
                raise
            return 0, 0
        waiting, delayed, held = (int(found.get(name, 0)) for name in names)
        return waiting + delayed, held

    @_told
    def remove(self, label: str) -> None:
        """Remove a version's queue."""
        self._client.delete_queue(QueueUrl=self._url(label))
        self._urls.pop(label, None)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _url(self, label: str, make: bool = False) -> str:
        found = self._urls.get(label)
        if found is None and not make:
            found = self._urls[label] = self._client.get_queue_url(QueueName=f"{self._prefix}{label}")["QueueUrl"]
        if found is None:
            attributes = {"MessageRetentionPeriod": str(_KEPT_SECONDS)}
            made = self._client.create_queue(QueueName=f"{self._prefix}{label}", Attributes=attributes)
            found = self._urls[label] = made["QueueUrl"]
        return found


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
