"""From a model's signature to the fields of a contract, and whether a later model's still fits the contract. Pure.

What the signature leaves open becomes a question in the draft: a text that begins with `TODO`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from heliostat.spec.logged_models import LoggedModel, LoggedModelError, Reads
from heliostat.spec.model_contracts import TODO, ModelInterface
from heliostat.spec.model_fields import DTYPES, FieldType, ModelField

Draft = dict[str, Any]
"""A field as it stands in the file, with questions where the signature is silent."""

INPUT: Final = "input"
"""A request's field for a column, or a tensor, that has no name."""
OUTPUT: Final = "prediction"
"""The same in an answer."""
_SCALARS: Final = {
    "bool": FieldType.BOOLEAN,
    "int8": FieldType.INTEGER,
    "int16": FieldType.INTEGER,
    "int32": FieldType.INTEGER,
    "uint8": FieldType.INTEGER,
    "uint16": FieldType.INTEGER,
    "int64": FieldType.LONG,
    "uint32": FieldType.LONG,
    "float16": FieldType.FLOAT,
    "float32": FieldType.FLOAT,
    "float64": FieldType.DOUBLE,
    "str": FieldType.STRING,
    "object": FieldType.STRING,
}
"""What a tensor of one dimension, the rows, has in each row."""
_PLAIN: Final = frozenset(FieldType) - {FieldType.ARRAY, FieldType.OBJECT, FieldType.MAP, FieldType.TENSOR}


def reads_of(model: LoggedModel) -> Reads:
    """What the model takes, by its signature.

    Raises:
        LoggedModelError: it has none, or one that cannot be served.
    """
    inputs = model.inputs
    if not inputs:
        raise LoggedModelError(
            f"{model.name} has no signature, so nothing says what it takes: log it again with `input_example=` of a few rows, "
            "or with `signature=mlflow.models.infer_signature(inputs, answers)`"
        )
    tensors = [each for each in inputs if each.get("type") == FieldType.TENSOR]
    if tensors and len(tensors) < len(inputs):
        raise LoggedModelError(f"the signature of {model.name} has tensors beside columns: log it with one of them")
    if tensors:
        return Reads.TENSORS if any(each.get("name") for each in inputs) else Reads.TENSOR
    unnamed = [each for each in inputs if not each.get("name")]
    if model.hinted and len(unnamed) == len(inputs) == 1:
        return Reads.LIST
    if unnamed:
        raise LoggedModelError(
            f"{len(unnamed)} of {len(inputs)} columns in the signature of {model.name} have no name: log it with a pandas "
            "frame as the input example, whose columns have names"
        )
    return Reads.FRAME


def request_draft(model: LoggedModel) -> dict[str, Draft]:
    """The request's fields as the signature has them, parameters included.

    Raises:
        LoggedModelError: something in it cannot be served.
    """
    reads = reads_of(model)
    wrong: list[str] = []
    fields = {
        str(each.get("name") or INPUT): _draft(each, wrong, str(each.get("name") or INPUT)) for each in model.inputs or ()
    }
    for each in model.parameters:
        name = str(each.get("name"))
        if name in fields:
            wrong.append(f"{name}: is a column and a parameter")
        fields[name] = _parameter(each, wrong)
    if wrong:
        raise LoggedModelError(f"the signature of {model.name} cannot be served ({reads}): {'; '.join(wrong)}")
    return fields


def answer_draft(model: LoggedModel, outputs: Sequence[Mapping[str, Any]]) -> dict[str, Draft]:
    """The answer's fields, of the signature's outputs or of what was answered.

    Raises:
        LoggedModelError: something in them cannot be served.
    """
    wrong: list[str] = []
    fields = {}
    for each in outputs:
        name = str(each.get("name") or OUTPUT)
        if name in fields:
            wrong.append(f"{name}: there are several outputs without a name")
        meaning = f"{TODO}: what it means, and its unit"
        fields[name] = {"type": "", "description": meaning, **_draft(each, wrong, name)}
    if wrong:
        raise LoggedModelError(f"the answers of {model.name} cannot be served: {'; '.join(wrong)}")
    return fields


def _draft(said: Mapping[str, Any], wrong: list[str], path: str) -> Draft:
    kind = str(said.get("type"))
    optional = {} if said.get("required", True) else {"required": False}
    if kind == FieldType.TENSOR:
        return _tensor(said.get("tensor-spec") or {}, wrong, path)
    if kind == FieldType.ARRAY:
        return {"type": kind, **optional, "items": _draft(said.get("items") or {}, wrong, f"{path}[]")}
    if kind == FieldType.MAP:
        return {"type": kind, **optional, "values": _draft(said.get("values") or {}, wrong, f"{path}{{}}")}
    if kind == FieldType.OBJECT:
        properties = said.get("properties") or {}
        return {
            "type": kind,
            **optional,
            "properties": {name: _draft(each, wrong, f"{path}.{name}") for name, each in properties.items()},
        }
    if kind == "any":
        return {"type": f"{TODO}: the signature says `any`; one of {', '.join(sorted(_PLAIN))}", **optional}
    if kind not in _PLAIN:
        wrong.append(f"{path}: the type {kind!r} is not taken; of MLflow's types there are {', '.join(FieldType)}")
    return {"type": kind, **optional}


def _tensor(spec: Mapping[str, Any], wrong: list[str], path: str) -> Draft:
    dtype, shape = str(spec.get("dtype")), list(spec.get("shape") or ())
    if not shape or shape[0] != -1:
        wrong.append(f"{path}: a tensor of shape {shape} has no free first dimension for rows: log it with -1 there")
        return {"type": FieldType.TENSOR.value}
    rest = shape[1:]
    if not rest and dtype in _SCALARS:
        return {"type": _SCALARS[dtype].value}
    known: Any = dtype
    if dtype == "object":
        known = f"{TODO}: the signature says `object`; str for texts"
    elif dtype not in DTYPES:
        wrong.append(f"{path}: a tensor of {dtype} is not taken; there are {', '.join(DTYPES)}")
    sizes = [size if size != -1 else f"{TODO}: how many, the signature says -1" for size in rest]
    return {"type": FieldType.TENSOR.value, "dtype": known, "shape": sizes}


def _parameter(said: Mapping[str, Any], wrong: list[str]) -> Draft:
    name, kind, default = str(said.get("name")), str(said.get("type")), said.get("default")
    shape = said.get("shape")
    if kind == FieldType.OBJECT or kind not in _PLAIN:
        wrong.append(f"{name}: a parameter of type {kind!r} is not taken; there are {', '.join(sorted(_PLAIN))}")
    inner: Draft = {"type": kind} if not shape else {"type": FieldType.ARRAY.value, "items": {"type": kind}}
    return {**inner, "required": False, "parameter": True, **({"default": default} if default is not None else {})}


def misfits(contract: ModelInterface, model: LoggedModel) -> list[str]:
    """What in a model's signature does not fit a contract, each with its place; none where it fits."""
    try:
        reads = reads_of(model)
    except LoggedModelError as error:
        return [str(error)]
    found = []
    if contract.reads is not reads and not (contract.reads is Reads.ARRAY and reads is Reads.FRAME):
        found.append(f"reads: the contract has {contract.reads}, the model takes {reads}")
    found += _sides("request", contract.request, model.inputs or (), parameters=False)
    found += _sides("request", contract.request, model.parameters, parameters=True)
    if model.outputs:
        found += _sides("answer", contract.answer, model.outputs, parameters=False)
    return found


def _sides(
    side: str, fields: Mapping[str, ModelField], said: Sequence[Mapping[str, Any]], *, parameters: bool
) -> Iterator[str]:
    mine = {name: field for name, field in fields.items() if field.parameter == parameters}
    if not parameters and len(mine) == 1 and len(said) == 1 and not said[0].get("name"):
        (name, field), each = next(iter(mine.items())), said[0]
        yield from _differences(f"{side}.{name}", field, each)
        return
    theirs = {str(each.get("name") or (INPUT if side == "request" else OUTPUT)): each for each in said}
    by_column = {field.column or name: (name, field) for name, field in mine.items()}
    what = "parameter" if parameters else "column" if side == "request" else "output"
    for column in theirs.keys() - by_column.keys():
        yield f"{side}: the model has the {what} {column!r}, which the contract does not have"
    for column, (name, field) in by_column.items():
        if column not in theirs:
            yield f"{side}.{name}: the model has no {what} {column!r}; it has {', '.join(theirs) or 'none'}"
        elif parameters:
            yield from _differences(f"{side}.{name}", field, _as_parameter(theirs[column]))
        else:
            yield from _differences(f"{side}.{name}", field, theirs[column])


def _as_parameter(said: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = {"type": said.get("type")}
    return {"type": FieldType.ARRAY, "items": inner, "required": False} if said.get("shape") else {**inner, "required": False}


def _differences(path: str, field: ModelField, said: Mapping[str, Any]) -> Iterator[str]:
    """Where a field and a type of a signature differ."""
    if said.get("type") == "any":
        return
    draft = _draft(said, [], path)
    if draft["type"] != field.type:
        yield f"{path}: the contract has {field.type}, the model {draft['type']}"
        return
    if (
        not field.required
        and draft.get("required", True)
        and path.startswith("request")
        and field.type is not FieldType.TENSOR
    ):
        yield f"{path}: the contract lets it be left out, the model needs it"
    if field.type is FieldType.TENSOR:
        yield from _tensor_differences(path, field, draft)
    if field.items is not None:
        yield from _differences(f"{path}.items", field.items, said.get("items") or {})
    if field.values is not None:
        yield from _differences(f"{path}.values", field.values, said.get("values") or {})
    properties = said.get("properties") or {}
    for name in (field.properties or {}).keys() ^ properties.keys():
        has, lacks = ("contract", "model") if name in (field.properties or {}) else ("model", "contract")
        yield f"{path}.properties.{name}: the {has} has it, the {lacks} does not"
    for name in (field.properties or {}).keys() & properties.keys():
        yield from _differences(f"{path}.properties.{name}", (field.properties or {})[name], properties[name])


def _tensor_differences(path: str, field: ModelField, draft: Draft) -> Iterator[str]:
    if not str(draft["dtype"]).startswith(TODO) and draft["dtype"] != field.dtype:
        yield f"{path}.dtype: the contract has {field.dtype}, the model {draft['dtype']}"
    sizes, mine = draft["shape"], field.shape or ()
    if len(sizes) != len(mine) or any(isinstance(size, int) and size != own for size, own in zip(sizes, mine, strict=False)):
        shown = ["any" if not isinstance(size, int) else size for size in sizes]
        yield f"{path}.shape: the contract has {list(mine)}, the model {shown}"
