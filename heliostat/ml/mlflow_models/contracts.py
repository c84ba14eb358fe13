"""Contracts of models of others: `heliostat.ml.mlflow_models.contracts:NAME` is that of the workload in `workloads/NAME`.

A contract is found by its entry point, a module's attribute, everywhere: in a replica, an inspection, a client. These are made
of a file, so the attribute is looked up when it is asked for, in the first folder of Python's path that has the file.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic_core import from_json, to_json

from heliostat.ml.contracts import Columns, Contract, Golden
from heliostat.ml.mlflow_models.described import contract_in, on_path
from heliostat.ml.mlflow_models.predictor import MlflowPredictor
from heliostat.ml.mlflow_models.rows import Base, attribute_of, type_of
from heliostat.spec.model_contracts import ModelContract, ModelContractError, RecordedAnswer
from heliostat.spec.model_fields import FieldType, ModelField

MODULE: Final = __name__


class MlflowContract(Contract[Base, Base]):
    """A contract whose predictor reads columns by the names that clients use."""

    def columns(self, rows: Sequence[Base]) -> Columns:
        """The predictor's columns of these rows: values as they were checked, times as `datetime`."""
        found = self.__dict__.get("_attributes")
        if found is None:
            fields = self.row.model_fields.items()
            found = self.__dict__["_attributes"] = [(field.alias or name, name) for name, field in fields]
        return {name: [getattr(row, attribute) for row in rows] for name, attribute in found}


def __getattr__(name: str) -> Any:
    """The contract of the workload in the folder `name`.

    Raises:
        AttributeError: no folder of the path has one.
        ModelContractError: it has mistakes.
    """
    if name.startswith("_"):
        raise AttributeError(name)
    root = on_path(name)
    if root is None:
        raise AttributeError(f"no folder of Python's path has workloads/{name}/contract.yaml")
    return _contract_at(str(root), name)


@cache
def _contract_at(root: str, name: str) -> MlflowContract:
    from pathlib import Path

    return made(contract_in(Path(root), name), f"workloads/{name}/contract.yaml")


def made(described: ModelContract, file: str) -> MlflowContract:
    """The contract that a file describes.

    Raises:
        ModelContractError: its examples or golden requests do not fit its fields, all that do not named.
    """
    row = type_of("Row", described.request, "One row of a request.")
    answer = type_of("Answer", described.answer, "The answer to one row.")
    wrong: list[str] = []
    examples = tuple(
        found
        for index, example in enumerate(described.examples)
        if (found := _read(row, example, f"examples.{index}", wrong)) is not None
    )
    for index, golden in enumerate(described.golden):
        _read(row, golden.request, f"golden.{index}.request", wrong)
        _read(answer, golden.answer, f"golden.{index}.answer", wrong)
    if wrong:
        lines = "".join(f"\n  {each}" for each in wrong)
        raise ModelContractError(f"{len(wrong)} mistakes in {file}, held against its own fields:{lines}")
    predictor = MlflowPredictor.of(described)
    return MlflowContract(
        title=described.title,
        description=described.description,
        row=row,
        answer=answer,
        predictor=predictor,
        respond=_respond(answer, described),
        examples=examples,
        golden=tuple(_golden(each, described, predictor) for each in described.golden),
    )


def _read(kind: type[Base], given: Mapping[str, Any], place: str, wrong: list[str]) -> Base | None:
    from pydantic import ValidationError

    try:
        return kind.model_validate_json(to_json(given, inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        wrong += [f"{place}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
        return None


def _respond(answer: type[Base], described: ModelContract) -> Any:
    names = [attribute_of(name, number) for number, name in enumerate(described.answer)]
    if any(_has_objects(field) for field in described.answer.values()):
        columns = list(described.answer)
        one = len(columns) == 1
        return lambda values: answer.model_validate(_encoded(dict(zip(columns, [values] if one else values, strict=True))))
    make = answer.model_construct  # what was answered is of the fields' types already
    if len(names) == 1:
        (name,) = names
        return lambda value: make(**{name: value})
    return lambda values: make(**dict(zip(names, values, strict=True)))


def _has_objects(field: ModelField) -> bool:
    return field.type is FieldType.OBJECT or any(_has_objects(part) for _, part in field.parts())


def _encoded(value: Any) -> Any:
    """Bytes as base64, which is what their type is made of."""
    if isinstance(value, bytes):
        return base64.b64encode(value)
    if isinstance(value, dict):
        return {key: _encoded(each) for key, each in value.items()}
    return [_encoded(each) for each in value] if isinstance(value, list) else value


def _golden(recorded: RecordedAnswer, described: ModelContract, predictor: type[MlflowPredictor]) -> Golden:
    def check(answered: Any) -> bool:
        of_this = predictor.loaded in ("", described.recorded.digest)
        return alike(answered, recorded.answer, described.tolerance if of_this else None)

    return Golden(
        name=recorded.name,
        request=recorded.request,
        check=check,
        expected=f"what {described.recorded.model} answered: {to_json(recorded.answer).decode()}",
    )


def alike(found: Any, expected: Any, tolerance: float | None) -> bool:
    """Whether an answer is the one that is expected: numbers to the tolerance; with None, whether it has the same form."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and (
            found.keys() == expected.keys() and all(alike(found[key], expected[key], tolerance) for key in expected)
            if tolerance is not None
            else bool(found)
        )
    if tolerance is None:
        return True
    if isinstance(expected, list):
        same = isinstance(found, list) and len(found) == len(expected)
        return same and all(alike(one, other, tolerance) for one, other in zip(found, expected, strict=True))
    if isinstance(expected, (int, float)) and not isinstance(expected, bool):
        number = isinstance(found, (int, float)) and not isinstance(found, bool)
        return number and math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    return bool(found == expected)


def answers_of(described: ModelContract, answers: Any) -> list[Any]:
    """A predictor's answers as the contract's, each a mapping as a client would see it."""
    respond = _respond(type_of("Answer", described.answer), described)
    return [as_json(respond(each)) for each in answers.tolist()]


def as_json(value: Any) -> Any:
    """A value as a client sees it."""
    return from_json(to_json(value))
