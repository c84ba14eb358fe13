"""The Open Inference Protocol over gRPC: its messages from and to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import heliostat
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.grpc import messages
from heliostat.serving.grpc.calls import CallError, Status
from heliostat.serving.inference.tensors import NamedTensor, TensorError, from_json_data, from_raw, problem, to_raw

SERVICE: Final = "/inference.GRPCInferenceService/"
_CONTENTS: Final = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where the elements of a datatype are, where they are not raw; FP16 is always raw."""


class InferenceService:
    """The methods of the service, each from a message's bytes to those of its answer."""

    def __init__(self, plane: DataPlane, name: str) -> None:
        """`name`: the application's, by which clients ask."""
        self._plane, self._name, self._version = plane, name, plane.version.label
        self._versions = {"", self._version, self._version.partition("-")[0]}
        self._output_names = tuple(field.name for field in plane.signature.outputs)
        live, ready = messages.ServerLiveResponse(live=True), messages.ServerReadyResponse(ready=True)
        server = messages.ServerMetadataResponse(name="heliostat", version=heliostat.__version__)
        self._fixed = {"ServerLive": live, "ServerReady": ready, "ServerMetadata": server}
        self.of_the_server = {f"{SERVICE}{method}": self._server for method in self._fixed}
        self.of_the_model = {
            f"{SERVICE}ModelReady": self._model_ready,
            f"{SERVICE}ModelMetadata": self._model_metadata,
            f"{SERVICE}ModelInfer": self._infer,
        }

    def _server(self, path: str, _message: bytes, _call: Call, _started: float) -> bytes:
        found: bytes = self._fixed[path.removeprefix(SERVICE)].SerializeToString()
        return found

    def _model_ready(self, _path: str, message: bytes, _call: Call, _started: float) -> bytes:
        asked = messages.ModelReadyRequest.FromString(message)
        self._require_here(asked.name, asked.version, 404)
        found: bytes = messages.ModelReadyResponse(ready=True).SerializeToString()
        return found

    def _model_metadata(self, _path: str, message: bytes, _call: Call, _started: float) -> bytes:
        asked = messages.ModelMetadataRequest.FromString(message)
        self._require_here(asked.name, asked.version, 404)
        signature = self._plane.signature
        found: bytes = messages.ModelMetadataResponse(
            name=self._name,
            versions=[self._version],
            platform="heliostat",
            inputs=[field.metadata() for field in signature.inputs],
            outputs=[field.metadata() for field in signature.outputs],
        ).SerializeToString()
        return found

    def _infer(self, _path: str, message: bytes, call: Call, started: float) -> bytes:
        asked = messages.ModelInferRequest.FromString(message)
        # Who asks for a version that is not here is mistaken, and the version that is here is not.
        self._require_here(asked.model_name, asked.model_version, 400)
        call.name(asked.id)
        wanted = _wanted(asked, self._output_names)
        outputs = {tensor.name: tensor for tensor in self._plane.infer(call, _tensors(asked), started)}
        chosen = [outputs[name] for name in wanted]
        answer = messages.ModelInferResponse(
            model_name=self._name,
            model_version=self._version,
            id=asked.id,
            outputs=[{"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in chosen],
            raw_output_contents=[to_raw(each) for each in chosen],
        )
        found: bytes = answer.SerializeToString()
        return found

    def _require_here(self, name: str, version: str, status: int) -> None:
        if name != self._name or version not in self._versions:
            asked = f"{name[:80]!r}" + (f" in version {version[:80]!r}" if version else "")
            text = f"there is no model {asked} here: this is {self._name!r} in version {self._version!r}"
            raise CallError(Status.NOT_FOUND, status, text)


def _wanted(asked: Any, names: Sequence[str]) -> Sequence[str]:
    """The names of the outputs that are asked for."""
    chosen = [output.name for output in asked.outputs]
    if unknown := [name for name in chosen if name not in names]:
        text = f"the contract has no output {unknown[0][:80]!r}: it has {', '.join(names)}"
        raise TensorError([problem(text, "outputs", chosen.index(unknown[0]), "name")])
    if any("classification" in output.parameters for output in asked.outputs):
        text = "the classification extension is not served: leave it out"
        raise TensorError([problem(text, "outputs", "parameters", "classification")])
    return chosen or names


def _tensors(asked: Any) -> list[NamedTensor]:
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        text = f"{len(raw)} raw contents came for {len(asked.inputs)} inputs"
        raise TensorError([problem(text, "raw_input_contents")])
    found, wrong = [], []
    for number, given in enumerate(asked.inputs):
        try:
            if raw and given.HasField("contents"):
                raise TensorError([problem("it has contents and raw contents: send one of them", "inputs", given.name)])
            found.append(from_raw(given.name, given.datatype, given.shape, raw[number]) if raw else _of_contents(given))
        except TensorError as error:
            wrong += error.detail
    if wrong:
        raise TensorError(wrong)
    return found


def _of_contents(given: Any) -> NamedTensor:
    place = _CONTENTS.get(given.datatype)
    values = list(getattr(given.contents, place)) if place else []
    if given.datatype == "BYTES":
        values = [_text(given.name, at, value) for at, value in enumerate(values)]
    return from_json_data(given.name, given.datatype, given.shape, values)


def _text(name: str, at: int, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TensorError([problem("its bytes are no UTF-8", "inputs", name, "data", at)]) from None
