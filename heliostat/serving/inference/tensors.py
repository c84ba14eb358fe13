"""Tensors as the Open Inference Protocol has them, between the wire and NumPy."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.tensors import DATATYPES, DTYPES
from heliostat.serving.errors import HttpError

_SHOWN: Final = 80
_LENGTH: Final = struct.Struct("<I")
_MOST_DIMENSIONS: Final = 32
"""NumPy's arrays have no more."""
_MOST_ELEMENTS: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """One tensor of a request or of an answer."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | list[Any]
    """An array of this shape, or the elements in row-major order. Texts are `str`; None stands for what is not there."""

    def array(self) -> NDArray[Any]:
        """The values as an array of this shape."""
        if isinstance(self.values, np.ndarray):
            return self.values
        return np.array(self.values, dtype=DTYPES[self.datatype]).reshape(self.shape)

    def flat(self) -> list[Any]:
        """The elements in row-major order."""
        return self.values if isinstance(self.values, list) else self.values.ravel().tolist()


class TensorError(HttpError):
    """Tensors that are no tensors, or that the contract does not take."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        """`problems`: as FastAPI shows them, with paths from `inputs` or `outputs`."""
        super().__init__(422, problems)


def problem(message: str, *path: str | int, kind: str = "tensor") -> dict[str, Any]:
    """One mistake."""
    return {"type": kind, "loc": list(path), "msg": message}


def checked_shape(name: str, datatype: str, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that a tensor may have.

    Raises:
        TensorError: it is none, or the datatype is not known.
    """
    if datatype not in DATATYPES:
        known = ", ".join(sorted(DATATYPES))
        raise TensorError(
            [problem(f"the datatype {datatype[:_SHOWN]!r} is not taken: {known} are", "inputs", name, "datatype")]
        )
    sizes = tuple(shape)
    if not sizes or len(sizes) > _MOST_DIMENSIONS or any(size < 0 for size in sizes) or prod(sizes) > _MOST_ELEMENTS:
        text = (
            f"the shape {str(list(sizes))[:_SHOWN]} must have 1 to {_MOST_DIMENSIONS} sizes from 0 to {_MOST_ELEMENTS} in all"
        )
        raise TensorError([problem(text, "inputs", name, "shape")])
    return sizes


def from_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> NamedTensor:
    """A tensor of its bytes, little-endian and in row-major order.

    Raises:
        TensorError: they do not make such a tensor.
    """
    sizes = checked_shape(name, datatype, shape)
    if datatype == "BYTES":
        return NamedTensor(name, datatype, sizes, _texts(name, prod(sizes), bytes(raw)))
    dtype = DTYPES[datatype]
    if len(raw) != prod(sizes) * dtype.itemsize:
        text = f"{len(raw)} bytes came: {datatype} of shape {list(sizes)} has {prod(sizes) * dtype.itemsize}"
        raise TensorError([problem(text, "inputs", name, "data")])
    if datatype == "BOOL" and np.any(np.frombuffer(raw, np.uint8) > 1):
        raise TensorError([problem("a byte of BOOL must be 0 or 1", "inputs", name, "data")])
    return NamedTensor(name, datatype, sizes, np.frombuffer(raw, dtype).reshape(sizes))


def to_raw(tensor: NamedTensor, path: Sequence[str | int] = ()) -> bytes:
    """The bytes of a tensor.

    Raises:
        HttpError: 422: something in it is null, which its datatype cannot tell.
    """
    if tensor.datatype == "BYTES":
        if None in tensor.flat():
            raise _no_null(tensor)
        parts = [text.encode() for text in tensor.flat()]
        return b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))
    if isinstance(tensor.values, np.ndarray):
        return tensor.values.astype(DTYPES[tensor.datatype], copy=False).tobytes()
    if DTYPES[tensor.datatype].kind != "f" and None in tensor.values:
        raise _no_null(tensor)
    return np.array(tensor.values, dtype=DTYPES[tensor.datatype]).tobytes()  # None is NaN


def _no_null(tensor: NamedTensor) -> HttpError:
    text = f"an answer's {tensor.name} is null, which {tensor.datatype} in binary cannot tell: ask for it as JSON data"
    return HttpError(422, [problem(text, "outputs", tensor.name)])


def _texts(name: str, count: int, raw: bytes) -> list[str]:
    """The texts of BYTES: each behind its length, 4 bytes little-endian."""
    found: list[str] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw) or (end := at + 4 + _LENGTH.unpack_from(raw, at)[0]) > len(raw):
            raise TensorError([problem(f"element {len(found)} is cut off", "inputs", name, "data", len(found))])
        try:
            found.append(raw[at + 4 : end].decode())
        except UnicodeDecodeError:
            text = "its bytes are no UTF-8"
            raise TensorError([problem(text, "inputs", name, "data", len(found))]) from None
        at = end
    if len(found) != count:
        raise TensorError([problem(f"{len(found)} elements came: its shape has {count}", "inputs", name, "data")])
    return found


_LARGEST: Final = {name: np.iinfo(dtype) for name, dtype in DTYPES.items() if dtype.kind in "iu"}
_KINDS: Final[dict[str, frozenset[type]]] = {
    name: {
        "b": frozenset((bool,)),
        "O": frozenset((str,)),
        "f": frozenset((float, int)),
    }.get(dtype.kind, frozenset((int,)))
    for name, dtype in DTYPES.items()
}  # fmt: skip


def from_json_data(name: str, datatype: str, shape: Sequence[int], data: list[Any]) -> NamedTensor:
    """A tensor of its `data` in JSON, flat or nested. Null is kept for the contract to judge.

    Raises:
        TensorError: the data do not make such a tensor.
    """
    sizes = checked_shape(name, datatype, shape)
    count = prod(sizes)
    flat = list(_flattened(name, data, sizes)) if data and any(type(each) is list for each in data) else data
    if len(flat) != count:
        text = f"{len(flat)} elements came: its shape {list(sizes)} has {count}"
        raise TensorError([problem(text, "inputs", name, "data")])
    kinds = _KINDS[datatype]
    for at, value in enumerate(flat):
        if value is not None and type(value) not in kinds:
            raise _misfit(name, datatype, at, value)
    if datatype in _LARGEST:
        limits = _LARGEST[datatype]
        for at, value in enumerate(flat):
            if value is not None and not limits.min <= value <= limits.max:
                raise _misfit(name, datatype, at, value)
    elif datatype.startswith("FP"):
        flat = _floats(name, datatype, flat)
    return NamedTensor(name, datatype, sizes, flat)


def _floats(name: str, datatype: str, flat: list[Any]) -> list[float | None]:
    """As the datatype has them: 0.1 is not the same number in FP32, whatever carries it."""
    found: list[float | None] = []
    for at, value in enumerate(flat):
        try:
            found.append(None if value is None else float(value))
        except OverflowError:
            raise _misfit(name, datatype, at, value) from None
    if datatype == "FP64":
        return found
    with np.errstate(over="ignore"):
        narrow = np.array([0.0 if value is None else value for value in found], DTYPES[datatype]).tolist()
    for at, (value, kept) in enumerate(zip(found, narrow, strict=True)):
        if value is not None and abs(kept) == float("inf") and abs(value) != float("inf"):
            raise _misfit(name, datatype, at, flat[at])
    return [None if value is None else kept for value, kept in zip(found, narrow, strict=True)]


def _flattened(name: str, data: list[Any], shape: tuple[int, ...]) -> Iterable[Any]:
    """The elements of nested lists that have this shape."""
    if len(shape) == 1 or not any(type(each) is list for each in data):
        yield from data
        return
    if len(data) != shape[0]:
        text = f"a list of {len(data)} came: its shape has {shape[0]} there"
        raise TensorError([problem(text, "inputs", name, "data")])
    for at, part in enumerate(data):
        if type(part) is not list or len(part) not in (shape[1], prod(shape[1:])):
            raise TensorError([problem(f"it is no list of {shape[1]}, as its shape has it", "inputs", name, "data", at)])
        yield from _flattened(name, part, shape[1:])


def _misfit(name: str, datatype: str, at: int, value: Any) -> TensorError:
    shown = str(value) if isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 1 << 70) else None
    given = f" {shown[:_SHOWN]!r}" if shown is not None and isinstance(value, str) else "" if shown is None else f" {shown}"
    text = f"the {_json_type(value)}{given} is no {datatype}"
    return TensorError([problem(text, "inputs", name, "data", at)])


def _json_type(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), "value")
