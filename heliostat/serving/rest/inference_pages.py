"""What OpenAPI says of the Open Inference Protocol's paths: its own schemas, and the contract's tensors as an example."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import to_jsonable_python

from heliostat.ml.contracts import Contract
from heliostat.ml.tensors import DATATYPES
from heliostat.serving.inference.signature import Form, Signature, TensorField

_TENSOR: Final = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string", "enum": sorted(DATATYPES)},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        "parameters": {"type": "object", "properties": {"binary_data_size": {"type": "integer", "minimum": 0}}},
        "data": {
            "type": "array",
            "items": {},
            "description": "Row-major, flat or nested; left out where it follows in binary.",
        },
    },
}
_FLAG: Final = {"type": "boolean"}
_INFER_REQUEST: Final = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object", "properties": {"binary_data_output": _FLAG}},
        "inputs": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/InferTensor"}},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {"type": "object", "properties": {"binary_data": _FLAG}},
                },
            },
        },
    },
}
_INFER_ANSWER: Final = {
    "type": "object",
    "required": ["model_name", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/InferTensor"}},
    },
}
_INFER_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "detail": {}},
}
SCHEMAS: Final = {
    "InferTensor": _TENSOR,
    "InferRequest": _INFER_REQUEST,
    "InferAnswer": _INFER_ANSWER,
    "InferError": _INFER_ERROR,
}
"""Components, by name."""


def paths(contract: Contract[Any, Any], signature: Signature, public_path: str, name: str) -> dict[str, Any]:
    """The paths of the protocol, but for those that name a version, which answer alike."""
    model = f"{public_path}/v2/models/{name}"
    return {
        f"{public_path}/v2": _get("inferServer", "The server."),
        f"{public_path}/v2/health/live": _get("inferLive", "Whether the server is there."),
        f"{public_path}/v2/health/ready": _get("inferReady", "Whether it answers requests."),
        model: _get("inferModel", "The model's tensors."),
        f"{model}/ready": _get("inferModelReady", "Whether the model answers requests."),
        f"{model}/infer": {"post": _infer(contract, signature)},
    }


def _infer(contract: Contract[Any, Any], signature: Signature) -> dict[str, Any]:
    found = {str(status): _error(what) for status, what in _REFUSALS.items()}
    content = {"schema": {"$ref": "#/components/schemas/InferRequest"}}
    if example := _example(contract, signature):
        content["example"] = example
    return {
        "operationId": "infer",
        "summary": f"{contract.title}, by the Open Inference Protocol",
        "description": f"Inputs: {_listed(signature.inputs)}. Outputs: {_listed(signature.outputs)}.",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": {
                "description": "The answers as tensors, in the rows' order.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferAnswer"}}},
            },
            **found,
        },
    }


_REFUSALS: Final = {
    400: "The model or version is not here, or a header is wrong.",
    413: "The body is too large.",
    415: "The body is not JSON, or in an encoding that is not taken.",
    422: "The tensors do not fit; each mistake with its path.",
}


def _example(contract: Contract[Any, Any], signature: Signature) -> dict[str, Any]:
    """The contract's first example as tensors; empty where a field of it is more than an element."""
    row = to_jsonable_python(contract.examples[0])
    if not isinstance(row, dict):
        return {}
    fields = [field for field in signature.inputs if row.get(field.name) is not None]
    if any(field.form is not Form.ONE for field in fields):
        return {}
    return {
        "inputs": [
            {"name": field.name, "datatype": field.datatype, "shape": [1], "data": [row[field.name]]} for field in fields
        ]
    }


def _listed(fields: tuple[TensorField, ...]) -> str:
    return ", ".join(f"{field.name} ({field.datatype} {list(field.shape)})" for field in fields)


def _get(name: str, what: str) -> dict[str, Any]:
    return {"get": {"operationId": name, "summary": what, "responses": {"200": {"description": what}}}}


def _error(what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferError"}}}}
