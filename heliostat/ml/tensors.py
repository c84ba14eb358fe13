"""Fields of a contract that are tensors: an array in Python, nested lists in JSON, a tensor in the Open Inference Protocol.

class Picture(BaseModel):
    image: Annotated[NDArray[np.float32], Tensor("FP32", (28, 28))]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

__all__ = ["Datatype", "Tensor", "tensor_of"]

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
"""Types of a tensor's elements, by their names in the Open Inference Protocol."""
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    "BYTES": np.dtype(object),
}
"""As they lie in memory and travel in binary, little-endian; elements of BYTES are texts."""
DATATYPES: Final = frozenset(get_args(Datatype))
assert frozenset(DTYPES) == DATATYPES  # noqa: S101 - two spellings of one list


@dataclass(frozen=True)
class CarriedTensors:
    """Tensors that came beside the JSON of their rows: where the JSON says `0`, the field is the first part of its tensor.

    Given to a validation as its context; without it no number is a tensor.
    """

    by_name: Mapping[str, NDArray[Any]]
    """Rows first, by the name of the model's field."""


@dataclass(frozen=True)
class Tensor:
    """Says of a field that it is a tensor, in `Annotated`.

    A predictor gets it as one array for all rows, rows first; as a list of arrays where the shape leaves a size open.
    """

    datatype: Datatype
    shape: tuple[int, ...]
    """Of one row, without the rows; -1 is any size."""
    finite: bool = True
    """Whether NaN and the infinities are refused."""

    def __post_init__(self) -> None:
        if self.datatype not in DATATYPES:
            raise ValueError(f"the datatype {self.datatype!r} is none of {', '.join(sorted(DATATYPES))}")
        if not self.shape or any(size < -1 or size == 0 for size in self.shape):
            raise ValueError(f"the shape {self.shape} must have sizes of 1 or more, or -1 for any size")

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's."""
        return DTYPES[self.datatype]

    @property
    def is_fixed(self) -> bool:
        """Whether all rows have one shape."""
        return -1 not in self.shape

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether one row's array may have this shape."""
        return len(shape) == len(self.shape) and all(want in (-1, size) for want, size in zip(self.shape, shape, strict=True))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_wrap_validator_function(
            self._validated,
            self._lists(),
            serialization=core_schema.plain_serializer_function_ser_schema(_listed, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return reduce(_array_schema, reversed(self.shape), dict(_ELEMENTS_IN_JSON[self.datatype]))

    def _lists(self) -> core_schema.CoreSchema:
        """Nested lists of this shape."""
        schema = _element(self.datatype, self.finite)
        for size in reversed(self.shape):
            limit = None if size < 0 else size
            schema = core_schema.list_schema(schema, min_length=limit, max_length=limit)
        return schema

    def _validated(
        self, value: Any, lists: core_schema.ValidatorFunctionWrapHandler, info: core_schema.ValidationInfo
    ) -> NDArray[Any]:
        if isinstance(info.context, CarriedTensors) and type(value) is int:
            carried = info.context.by_name.get(str(info.field_name), ())
            if 0 <= value < len(carried):
                return self._checked(carried[value])
        if isinstance(value, np.ndarray):
            return self._checked(value)
        try:
            found = np.array(lists(value), dtype=self.dtype)
        except (ValueError, OverflowError) as error:
            if hasattr(error, "errors"):
                raise
            raise PydanticCustomError("tensor_shape", "its lists are not all of one length") from None
        return self._checked(found)

    def _checked(self, found: NDArray[Any]) -> NDArray[Any]:
        if found.dtype != self.dtype:
            given = {"given": str(found.dtype), "wanted": self.datatype}
            raise PydanticCustomError("tensor_type", "the tensor is of {given}: it must be of {wanted}", given)
        if not self.fits(found.shape):
            shapes = {"given": str(list(found.shape)), "wanted": str(list(self.shape))}
            raise PydanticCustomError("tensor_shape", "the tensor has the shape {given}: it must have {wanted}", shapes)
        if self.finite and found.dtype.kind == "f" and not math.isfinite(float(found.sum(dtype=np.float64))):
            wrong = np.argwhere(~np.isfinite(found))
            if len(wrong):
                at = {"at": str(wrong[0].tolist())}
                raise PydanticCustomError("finite_number", "the tensor must have finite numbers: {at} is none", at)
        return found


def tensor_of(field: FieldInfo) -> Tensor | None:
    """What says that a model's field is a tensor; None where it is none."""
    return next((each for each in field.metadata if isinstance(each, Tensor)), None)


_ELEMENTS_IN_JSON: Final[Mapping[str, JsonSchemaValue]] = {
    **{name: {"type": {"b": "boolean", "f": "number", "O": "string"}.get(dtype.kind, "integer")}
       for name, dtype in DTYPES.items()},
}  # fmt: skip


def _array_schema(items: JsonSchemaValue, size: int) -> JsonSchemaValue:
    return {"type": "array", "items": items, **({} if size < 0 else {"minItems": size, "maxItems": size})}


def _element(datatype: Datatype, finite: bool) -> core_schema.CoreSchema:
    dtype = DTYPES[datatype]
    if dtype.kind == "b":
        return core_schema.bool_schema(strict=True)
    if dtype.kind == "O":
        return core_schema.str_schema(strict=True)
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max) if finite else None
        return core_schema.float_schema(strict=True, allow_inf_nan=not finite, ge=None if limit is None else -limit, le=limit)
    limits = np.iinfo(dtype)
    return core_schema.int_schema(strict=True, ge=int(limits.min), le=int(limits.max))


def _listed(array: NDArray[Any]) -> Any:
    return array.tolist()
