"""Errors of handlers as the protocol tells them: one clear message, and what exists although a create failed half way."""

from __future__ import annotations

import datetime
import json
import traceback
from collections.abc import Sequence
from pathlib import Path

import grpc
from google.protobuf import any_pb2

from heliostat.provider.resource import PermanentError, RetryableError
from heliostat.pulumi_proto import provider_pb2 as pb
from heliostat.pulumi_proto import status_pb2
from heliostat.systems import processes
from heliostat.systems.errors import GoesOnError, NoAccessError

GOES_ON, TOLD = "heliostat-goes-on-bin", "told"
"""What the engine knows it by: a JSON object of texts, which has the message, too."""
_TYPE_URL = "type.googleapis.com/"
_LOG_LIMIT = 4 * 1024 * 1024


def is_expected(error: BaseException) -> bool:
    """Whether the error's text says all that a user needs."""
    return isinstance(error, (PermanentError, RetryableError))


def unexpected(error: BaseException) -> str:
    """An error that nobody foresaw: what, where in our code, and where all of it is written."""
    place = "".join(f" at {f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(error.__traceback__)[-1:])
    return f"unexpected {type(error).__name__}{place}: {error} (the whole traceback is in {log_path()})"


def write_log(urn: str, text: str) -> None:
    """Keep `text`, a traceback, for whoever looks for the fault."""
    try:
        path = log_path()
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        with path.open("a") as log:
            log.write(f"{datetime.datetime.now().astimezone().isoformat()} {urn}\n{text}\n")
    except (OSError, PermanentError):
        return  # without a place for it, the message itself has to do


def log_path() -> Path:
    """Where tracebacks go."""
    return processes.runtime_root() / "provider.log"


def status_of(error: BaseException) -> grpc.StatusCode:
    """The code of an error. What goes on has one after which no engine takes the resource's state for unknown."""
    if isinstance(error, NoAccessError):
        return grpc.StatusCode.UNAUTHENTICATED
    if isinstance(error, GoesOnError):
        return grpc.StatusCode.ABORTED
    return grpc.StatusCode.UNAVAILABLE if isinstance(error, RetryableError) else grpc.StatusCode.UNKNOWN


def metadata_of(error: BaseException, message: str) -> Sequence[tuple[str, bytes]]:
    """The trailing metadata by which our own engine tells what goes on from what failed."""
    if not isinstance(error, GoesOnError):
        return ()
    return ((GOES_ON, json.dumps({**error.details, TOLD: message}).encode()),)


def for_any_engine(error: BaseException, message: str) -> str:
    """The message of an error, as it is read where an engine takes what goes on for a failure."""
    if not isinstance(error, GoesOnError):
        return message
    return f"{message}. Nothing has failed, though this update ends as if: the same once more, later, does the rest"


def details(code: int, message: str, failed: pb.ErrorResourceInitFailed) -> Sequence[tuple[str, bytes]]:
    """The trailing metadata that carries `failed`: what exists although the call failed."""
    packed = any_pb2.Any(type_url=f"{_TYPE_URL}{failed.DESCRIPTOR.full_name}", value=failed.SerializeToString())
    status = status_pb2.Status(code=code, message=message, details=[packed])
    return (("grpc-status-details-bin", status.SerializeToString()),)
