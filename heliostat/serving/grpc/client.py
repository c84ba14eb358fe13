"""Asks an application over gRPC, by the Open Inference Protocol: one that answers no prediction over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc

from heliostat.serving.grpc import messages
from heliostat.serving.inference.tensors import from_raw
from heliostat.systems.errors import PermanentError, RetryableError

_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_CONTENTS: Final = {"BOOL": "bool_contents", "INT64": "int64_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}
_SECONDS: Final = 10.0


def called(target: str, name: str, asked: Mapping[str, Any], version_key: str) -> tuple[dict[str, Any], str]:
    """The answer of the application `name` behind `target` to `asked`, a request of the protocol in JSON with one row, and the
    version that gave it.

    Raises:
        RetryableError: no replica is there.
        PermanentError: it fails.
    """
    request = messages.ModelInferRequest(model_name=name)
    for tensor in asked["inputs"]:
        values = [value.encode() if isinstance(value, str) else value for value in tensor["data"]]
        given = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        getattr(given.contents, _CONTENTS[tensor["datatype"]]).extend(values)
    with grpc.insecure_channel(target) as channel:
        try:
            answer, call = channel.unary_unary(_METHOD, bytes, bytes).with_call(request.SerializeToString(), timeout=_SECONDS)
        except grpc.RpcError as error:
            kind = RetryableError if error.code() is grpc.StatusCode.UNAVAILABLE else PermanentError
            raise kind(f"{name} does not answer a call: {error.code().name}: {error.details()}") from None
    found = messages.ModelInferResponse.FromString(answer)
    raw = zip(found.outputs, found.raw_output_contents, strict=True)
    told = {each.name: from_raw(each.name, each.datatype, each.shape, data).flat()[0] for each, data in raw}
    return told, str(dict(call.initial_metadata()).get(version_key, ""))
