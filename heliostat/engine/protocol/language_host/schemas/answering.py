"""Answers what the engine asks of the SDKs that are here, as messages in bytes."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

from . import sdk
from .checking import mistakes
from .completing import outputs
from .values import plain


def answer(payload: bytes) -> bytes:
    """The answer to one question, a Struct either way.

    Of a `package`: its SDK's `module` and `version`, nothing where there is none. Of a `check` (a type) with `inputs`: whether
    an SDK `knows` the type, and the `mistakes`. Of `outputs` (a type) with `inputs` and `before`: the outputs.
    """
    message = struct_pb2.Struct.FromString(payload)
    question = {key: plain(value) for key, value in message.fields.items()}
    found = struct_pb2.Struct()
    found.update(_answered(question))
    return found.SerializeToString()


def _answered(question: dict[str, Any]) -> dict[str, Any]:
    if "package" in question:
        known = sdk.sdk_of(question["package"])
        return {"module": known.module, "version": known.version} if known else {}
    if "check" in question:
        token, inputs = question["check"], question["inputs"]
        found = [{"path": one.path, "reason": one.reason} for one in mistakes(token, inputs)]
        return {"knows": sdk.resource_class(token) is not None, "mistakes": found}
    return outputs(question["outputs"], question["inputs"], question["before"])
