"""From tensors to rows in the contract's own JSON, and from its answers to tensors.

A request becomes the JSON that asks the same, and is read as that: what is taken, refused, logged and kept for the tap is one
thing, whatever carried it. A field that is itself a tensor goes beside the JSON, without a detour through lists of Python's;
its JSON is written only for who reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from pydantic_core import ValidationError, from_json, to_json

from heliostat.ml.contracts import Contract
from heliostat.ml.tensors import DTYPES, CarriedTensors
from heliostat.serving.bodies import Body, LateBody, problems
from heliostat.serving.errors import HttpError
from heliostat.serving.inference.signature import Form, Signature, TensorField
from heliostat.serving.inference.tensors import NamedTensor, TensorError, problem

_JSON_BYTES: Final = 12
"""Of a number in JSON, about."""
_MOST_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Question:
    """A request's rows."""

    json: bytes
    """What is read; a tensor of a row is its number."""
    beside: CarriedTensors | None
    sent: Body
    """What is logged and kept: the same with its tensors in full."""
    rows: int


class Rows:
    """Rows and answers of one contract."""

    def __init__(self, contract: Contract[Any, Any], max_rows: int) -> None:
        self.signature = signature = Signature.of(contract)
        self._max_rows = max_rows
        self._inputs = {name: field for field in signature.inputs for name in (field.name, *field.also)}
        self._required = [field for field in signature.inputs if field.required]
        self._tensor_outputs = {field.attribute for field in signature.outputs if field.form is Form.TENSOR}

    @property
    def answers_tensors(self) -> bool:
        """Whether an answer has tensors, whose JSON is written only for who reads it."""
        return bool(self._tensor_outputs)

    def size_of(self, answers: Sequence[Any]) -> int:
        """How many bytes the tensors of answers have in JSON, about."""
        return _JSON_BYTES * sum(np.size(getattr(answer, name)) for answer in answers for name in self._tensor_outputs)

    def question(self, tensors: Sequence[NamedTensor]) -> Question:
        """The rows that tensors are.

        Raises:
            TensorError: they are none of the contract's, or not of one number of rows.
        """
        count = self._count(tensors)
        columns: dict[str, Sequence[Any]] = {}
        carried: dict[str, NamedTensor] = {}
        for tensor in tensors:
            field = self._inputs.get(tensor.name)
            if field is not None and field.form is Form.TENSOR:
                carried[tensor.name] = _whole(field, tensor)
                columns[tensor.name] = range(count)
            else:
                columns[tensor.name] = _TO_COLUMN[field.form if field else Form.ONE](tensor)
        if not carried:
            text = _json_of(columns, count)
            return Question(text, None, text, count)
        beside = CarriedTensors({self._inputs[name].attribute: tensor.array() for name, tensor in carried.items()})

        def in_full() -> bytes:
            return _json_of({**columns, **{name: tensor.array().tolist() for name, tensor in carried.items()}}, count)

        size = _JSON_BYTES * sum(tensor.array().size for tensor in carried.values())
        return Question(_json_of(columns, count), beside, LateBody(in_full, size), count)

    def refusal(self, error: ValidationError, question: Question) -> TensorError:
        """What the contract says of rows that do not fit, by their tensors."""
        return TensorError([_by_tensor(each, question.rows) for each in problems(error, question.json)])

    def outputs(self, answers: Sequence[Any], answer: bytes | None) -> list[NamedTensor]:
        """The tensors of answers, which are `answer` in JSON where they have no tensors.

        Raises:
            HttpError: 422: they differ in shape by row, so that they are no tensors together.
        """
        if answer is None:
            rows = [each.model_dump(mode="json", by_alias=True, exclude=self._tensor_outputs) for each in answers]
        else:
            read = from_json(answer)
            rows = [read] if len(answers) == 1 else read["rows"]
        return [_FROM_ROWS[field.form](field, rows, answers) for field in self.signature.outputs]

    def _count(self, tensors: Sequence[NamedTensor]) -> int:
        """The number of rows."""
        if not tensors:
            raise TensorError([problem("there are no inputs: send a tensor a field of the row", "inputs")])
        found = self._mismatches(tensors)
        count = tensors[0].shape[0]
        for tensor in tensors:
            field = self._inputs.get(tensor.name)
            if tensor.shape[0] != count:
                text = f"it has {tensor.shape[0]} rows, and {tensors[0].name} has {count}"
                found.append(problem(text, "inputs", tensor.name, "shape"))
            elif field is not None and not _fits(field, tensor.shape):
                wanted = f"[{count}]" if field.form in (Form.ONE, Form.JSON) else list(field.shape)
                text = f"the shape is {list(tensor.shape)}: it must be {wanted}"
                found.append(problem(text, "inputs", tensor.name, "shape"))
        if not 1 <= count <= self._max_rows:
            found.append(problem(f"{count} rows came: 1 to {self._max_rows} are taken", "inputs", "shape"))
        if found:
            raise TensorError(found)
        return count

    def _mismatches(self, tensors: Sequence[NamedTensor]) -> list[dict[str, Any]]:
        """What is missing, twice there or not the contract's."""
        found = []
        names = Counter([tensor.name for tensor in tensors])
        for name, count in names.items():
            if count > 1:
                found.append(problem("it is there more than once", "inputs", name[:80]))
            if name not in self._inputs and not self.signature.takes_others:
                known = ", ".join(field.name for field in self.signature.inputs)
                found.append(problem(f"the contract has no such input: it has {known}", "inputs", name[:80]))
        for field in self._required:
            if not any(name in names for name in (field.name, *field.also)):
                found.append(problem(f"it is missing: {field.datatype} of shape {list(field.shape)}", "inputs", field.name))
        if len(found) > _MOST_PROBLEMS:
            more = f"and {len(found) - _MOST_PROBLEMS} mistakes more"
            found = [*found[:_MOST_PROBLEMS], problem(more, "inputs", kind="more")]
        return found


def _fits(field: TensorField, shape: tuple[int, ...]) -> bool:
    if field.form in (Form.ONE, Form.JSON):
        return len(shape) == 1 or all(size == 1 for size in shape[1:])
    return len(shape) == len(field.shape) and all(want in (-1, size) for want, size in zip(field.shape, shape, strict=True))


def _whole(field: TensorField, tensor: NamedTensor) -> NamedTensor:
    """A tensor in the datatype of its field, where no value changes by that."""
    assert field.tensor is not None  # noqa: S101 - of this form it has one
    if isinstance(tensor.values, list) and None in tensor.values:
        raise TensorError([problem("null is no element of a tensor", "inputs", tensor.name, "data")])
    array = tensor.array()
    if tensor.datatype != field.datatype:
        wanted = DTYPES[field.datatype]
        if wanted.kind == "O" or not np.can_cast(array.dtype, wanted, "safe"):
            text = f"the datatype is {tensor.datatype}: it must be {field.datatype}"
            raise TensorError([problem(text, "inputs", tensor.name, "datatype")])
        array = array.astype(wanted)
    return replace(tensor, datatype=field.datatype, values=array)


def _json_column(tensor: NamedTensor) -> list[Any]:
    found = []
    for at, text in enumerate(tensor.flat()):
        try:
            found.append(from_json(text) if isinstance(text, str) else text)
        except ValueError as error:
            raise TensorError([problem(f"its text is no JSON: {error}", "inputs", tensor.name, "data", at)]) from None
    return found


_TO_COLUMN: Final[Mapping[Form, Callable[[NamedTensor], list[Any]]]] = {
    Form.ONE: NamedTensor.flat,
    Form.LISTS: lambda tensor: [each.tolist() for each in _objects(tensor)],
    Form.JSON: _json_column,
}


def _objects(tensor: NamedTensor) -> Any:
    """The array of a tensor, with null as null."""
    if isinstance(tensor.values, list) and None in tensor.values:
        return np.array(tensor.values, dtype=object).reshape(tensor.shape)
    return tensor.array()


def _json_of(columns: Mapping[str, Sequence[Any]], count: int) -> bytes:
    if count == 1:
        return to_json({name: values[0] for name, values in columns.items()}, inf_nan_mode="constants")
    names = list(columns)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return to_json({"rows": rows}, inf_nan_mode="constants")


def _by_tensor(found: dict[str, Any], rows: int) -> dict[str, Any]:
    """A mistake with the path that leads to it in the tensors."""
    path = found["loc"][1:]
    row = 0
    if rows > 1 and path[:1] == ["rows"]:
        row, path = path[1] if len(path) > 1 else 0, path[2:]
    where = ["inputs", path[0], "data", row, *path[1:]] if path else ["inputs", row]
    return {**found, "loc": where}


def _ones(field: TensorField, rows: Sequence[Mapping[str, Any]], _answers: Sequence[Any]) -> NamedTensor:
    values = [row.get(field.name) for row in rows]
    if field.datatype == "FP64":
        values = [None if value is None else float(value) for value in values]
    elif field.datatype == "INT64" and any(value is not None and not -(1 << 63) <= value < 1 << 63 for value in values):
        raise _untold(field, "is beyond INT64")
    elif field.datatype == "BYTES":
        values = [value if value is None or isinstance(value, str) else to_json(value).decode() for value in values]
    return NamedTensor(field.name, field.datatype, (len(rows),), values)


def _lists(field: TensorField, rows: Sequence[Mapping[str, Any]], _answers: Sequence[Any]) -> NamedTensor:
    try:
        array = np.array([row.get(field.name) for row in rows], dtype=DTYPES[field.datatype])
    except (ValueError, TypeError, OverflowError):
        raise _untold(field, "is no tensor together with those of the other rows") from None
    if not _fits(field, array.shape):
        raise _untold(field, "is no tensor together with those of the other rows")
    return NamedTensor(field.name, field.datatype, array.shape, array)


def _json_texts(field: TensorField, rows: Sequence[Mapping[str, Any]], _answers: Sequence[Any]) -> NamedTensor:
    return NamedTensor(field.name, "BYTES", (len(rows),), [to_json(row.get(field.name)).decode() for row in rows])


def _tensors(field: TensorField, _rows: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> NamedTensor:
    parts = [np.asarray(getattr(answer, field.attribute), dtype=DTYPES[field.datatype]) for answer in answers]
    try:
        array = np.stack(parts)
    except ValueError:
        raise _untold(field, "is of another shape than that of another row") from None
    return NamedTensor(field.name, field.datatype, array.shape, array)


def _untold(field: TensorField, what: str) -> HttpError:
    text = f"an answer's {field.name} {what}: ask for one row a request, or in the contract's own JSON"
    return HttpError(422, [problem(text, "outputs", field.name)])


_FROM_ROWS: Final[Mapping[Form, Callable[[TensorField, Sequence[Mapping[str, Any]], Sequence[Any]], NamedTensor]]] = {
    Form.ONE: _ones,
    Form.LISTS: _lists,
    Form.JSON: _json_texts,
    Form.TENSOR: _tensors,
}
