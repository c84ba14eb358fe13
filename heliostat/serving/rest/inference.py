"""The Open Inference Protocol over HTTP: its requests and answers, with tensors in JSON or in binary behind it.

    GET  /v2                                     GET  /v2/health/live    GET /v2/health/ready
    GET  /v2/models/NAME[/versions/V]            GET  /v2/models/NAME[/versions/V]/ready
    POST /v2/models/NAME[/versions/V]/infer

NAME is the application's, and V its version's label or the number that it begins with. With `Inference-Header-Content-Length`
the first so many bytes of a body are JSON, and the tensors follow whose `binary_data_size` says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict

import heliostat
from heliostat.serving.bodies import problems
from heliostat.serving.errors import HttpError
from heliostat.serving.inference.tensors import NamedTensor, TensorError, from_json_data, from_raw, problem, to_raw
from heliostat.serving.rest.exchange import JSON

HEADER: Final = b"inference-header-content-length"
BINARY: Final = b"application/octet-stream"
_SIZE: Final = "binary_data_size"
_ROWS: Final = re.compile(rb'"shape"\s*:\s*\[\s*(\d{1,19})')
_Parameters = dict[str, Any] | None
_EXACT: Final = ConfigDict(extra="forbid", strict=True)


@with_config(_EXACT)
class _Input(TypedDict):
    name: Annotated[str, Field(max_length=1000)]
    datatype: str
    shape: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 63)]], Field(min_length=1, max_length=32)]
    parameters: NotRequired[_Parameters]
    data: NotRequired[list[Any] | None]


@with_config(_EXACT)
class _Output(TypedDict):
    name: str
    parameters: NotRequired[_Parameters]


@with_config(_EXACT)
class _InferRequest(TypedDict):
    id: NotRequired[Annotated[str, Field(max_length=1000)] | None]
    parameters: NotRequired[_Parameters]
    inputs: Annotated[list[_Input], Field(min_length=1, max_length=10_000)]
    outputs: NotRequired[Annotated[list[_Output], Field(max_length=10_000)] | None]


_READ: Final = TypeAdapter(_InferRequest).validator.validate_json


class InferRequest:
    """A request that was read: its tensors, and which answers it wants in which form."""

    __slots__ = ("_wanted", "id", "tensors")

    def __init__(self, body: bytes, header_length: bytes | None, output_names: Collection[str]) -> None:
        """Read a body; `header_length`: the value of `Inference-Header-Content-Length`; `output_names`: those that there are.

        Raises:
            HttpError: it is no such request, or asks for an output that there is not.
        """
        text, raw = _parted(body, header_length)
        if not text.strip():
            raise HttpError(422, "the body is empty: send the protocol's JSON, with the rows' fields as inputs")
        try:
            read = _READ(text)
        except ValidationError as error:
            raise TensorError([{**each, "loc": each["loc"][1:]} for each in problems(error, text)]) from None
        self.id: str | None = read.get("id")
        self.tensors = _tensors(read["inputs"], raw)
        self._wanted = _wanted(read, output_names)

    def encoded(self, name: str, version: str, outputs: Sequence[NamedTensor]) -> tuple[bytes, int | None]:
        """The body of the answer, and where its binary part begins if it has one.

        Raises:
            HttpError: something is null that its datatype in binary cannot tell.
        """
        parts: list[bytes] = []
        known = {tensor.name: tensor for tensor in outputs}
        told = [_told(known[wanted], binary, parts) for wanted, binary in self._wanted]
        answer: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": told}
        if self.id is not None:
            answer["id"] = self.id
        text = to_json(answer, inf_nan_mode="constants")
        return (b"".join((text, *parts)), len(text)) if parts else (text, None)


def row_count(body: bytes) -> int:
    """How many rows a body says that it has, at a glance: 0 where it does not say."""
    found = _ROWS.search(body)
    return int(found[1]) if found else 0


def documents(name: str, version: str, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> dict[
    str, bytes
]:  # fmt: skip
    """What is answered to GET, by path; `inputs` and `outputs` are a signature's metadata."""
    ready = to_json({"name": name, "version": version, "ready": True})
    model = to_json({"name": name, "versions": [version], "platform": "heliostat", "inputs": inputs, "outputs": outputs})
    server = {"name": "heliostat", "version": heliostat.__version__, "extensions": ["binary_tensor_data"]}
    found = {"/v2": to_json(server), "/v2/health/live": b'{"live":true}', "/v2/health/ready": b'{"ready":true}'}
    for path in model_paths(name, version):
        found |= {path: model, f"{path}/ready": ready}
    return found


def model_paths(name: str, version: str) -> list[str]:
    """The paths of a model: without a version, with its label, and with the number that the label begins with."""
    path, number = f"/v2/models/{name}", version.partition("-")[0]
    return [path, *dict.fromkeys(f"{path}/versions/{each}" for each in (version, number))]


def not_here(path: str, name: str, version: str) -> str:
    """Why there is nothing at a path below /v2."""
    return (
        f"there is nothing at {path}: this is {name} in version {version}; there are /v2, /v2/health/live, /v2/health/ready, "
        f"and below /v2/models/{name} nothing, /ready and, by POST, /infer, each also behind /versions/{version}"
    )


def media_type(binary_at: int | None) -> bytes:
    """The content type of an answer."""
    return JSON if binary_at is None else BINARY


def _parted(body: bytes, header_length: bytes | None) -> tuple[bytes, memoryview]:
    """The JSON of a body and what is behind it."""
    if header_length is None:
        return body, memoryview(b"")
    length = int(header_length) if header_length.isdigit() and len(header_length) < 20 else -1
    if not 0 <= length <= len(body):
        given = header_length[:40].decode("latin-1")
        text = f"inference-header-content-length is {given!r}: it must be the number of bytes of JSON in a body of {len(body)}"
        raise HttpError(400, text)
    return body[:length], memoryview(body)[length:]


def _tensors(inputs: Sequence[_Input], raw: memoryview) -> list[NamedTensor]:
    found, wrong, at = [], [], 0
    for number, given in enumerate(inputs):
        size = (given.get("parameters") or {}).get(_SIZE)
        data = given.get("data")
        path = ("inputs", number, "parameters", _SIZE)
        if size is None and data is None:
            wrong.append(problem(f"it has neither data nor {_SIZE}", "inputs", given["name"]))
        elif size is not None and data is not None:
            wrong.append(problem("it has data and binary data: send one of them", *path))
        elif size is not None and (type(size) is not int or not 0 <= size <= len(raw) - at):
            wrong.append(problem(f"it must be a number of bytes, of which {len(raw) - at} are left", *path))
            break  # what follows is not to be found
        else:
            try:
                found.append(_tensor(given, data, raw[at : at + (size or 0)]))
            except TensorError as error:
                wrong += error.detail
            at += size or 0
    if not wrong and at != len(raw):
        wrong.append(problem(f"{len(raw) - at} bytes follow that are of no input", "inputs"))
    if wrong:
        raise TensorError(wrong)
    return found


def _tensor(given: _Input, data: list[Any] | None, raw: memoryview) -> NamedTensor:
    if data is not None:
        return from_json_data(given["name"], given["datatype"], given["shape"], data)
    return from_raw(given["name"], given["datatype"], given["shape"], raw)


def _wanted(read: _InferRequest, names: Collection[str]) -> list[tuple[str, bool]]:
    """The outputs that are asked for, and whether in binary."""
    usual = _flag(read, "binary_data_output", "parameters") or False
    asked = read.get("outputs")
    if not asked:
        return [(name, usual) for name in names]
    chosen, wrong = [], []
    for at, wanted in enumerate(asked):
        if wanted["name"] not in names:
            text = f"the contract has no output {wanted['name'][:80]!r}: it has {', '.join(names)}"
            wrong.append(problem(text, "outputs", at, "name"))
            continue
        if (wanted.get("parameters") or {}).get("classification"):
            text = "the classification extension is not served: leave it out"
            wrong.append(problem(text, "outputs", at, "parameters", "classification"))
        binary = _flag(wanted, "binary_data", "outputs", at, "parameters")
        chosen.append((wanted["name"], usual if binary is None else binary))
    if wrong:
        raise TensorError(wrong)
    return chosen


def _flag(given: Any, name: str, *path: str | int) -> bool | None:
    value = (given.get("parameters") or {}).get(name)
    if value is not None and type(value) is not bool:
        raise TensorError([problem("it must be true or false", *path, name)])
    return value


def _told(tensor: NamedTensor, binary: bool, parts: list[bytes]) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if binary:
        parts.append(to_raw(tensor))
        told["parameters"] = {_SIZE: len(parts[-1])}
    else:
        told["data"] = tensor.flat()
    return told
