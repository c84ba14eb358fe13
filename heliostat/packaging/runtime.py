"""What a package's model does; a copy of this module, and of what it imports, is in each package.

The rows go the way of a request to the service, so that the package takes, refuses and answers as that does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, overload

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from heliostat.ml.contracts import Contract
from heliostat.ml.ensembles import load_model
from heliostat.packaging import schemas
from heliostat.serving.answering import Answering
from heliostat.serving.errors import HttpError
from heliostat.serving.postprocessing import StepError, Steps
from heliostat.spec.postprocessing import ListSource, PostprocessingStep

__all__ = ["PackagedModel", "RowsError", "SchemaError", "StepError"]

MODEL_FOLDER: Final = "_model"
"""Where a package has its model's files."""
LISTS_FOLDER: Final = "_lists"
"""Where it has the lists that post-processing steps read."""
ABOUT_FILE: Final = "about.json"

Row = TypeVar("Row", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)


class RowsError(ValueError):
    """Rows that the contract refuses.

    Attributes:
        detail: What the service answers to them with status 422: a text, or every mistake with its path.
    """

    def __init__(self, detail: Any) -> None:
        super().__init__(detail if isinstance(detail, str) else _told(detail))
        self.detail = detail


class SchemaError(ValueError):
    """Rows of another contract than the package's.

    Attributes:
        expected: Digest of the package's row schema.
        given: Digest of the rows' schema.
        fields: What differs, by field; empty where only a digest was given.
    """

    def __init__(self, package: str, expected: str, given: str, fields: Mapping[str, str]) -> None:
        told = "".join(f"\n  {name}: {text}" for name, text in fields.items())
        what = f"these fields differ:{told}" if told else "give the schema instead of its digest to be told what differs"
        super().__init__(
            f"the rows have the schema {given}, {package} takes rows of {expected}: {what}\n"
            "Install the package of the contract that the rows were made for, or make them as its Row says"
        )
        self.expected = expected
        self.given = given
        self.fields = dict(fields)


class PackagedModel(Generic[Row, Answer]):
    """A model with its contract. Safe to use from several threads.

    Attributes:
        about: What the package was made of: names, version and digests.
        schema: JSON Schema of a row.
        schema_digest: SHA-256 of that, without its prose.
    """

    def __init__(self, contract: Contract[Row, Answer], directory: Path, code: str = "") -> None:
        """`directory`: of the package, with the model's files and what is said about them; `code`: its own namespace, in which
        functions of post-processing steps are found."""
        self.about: Mapping[str, Any] = json.loads((directory / ABOUT_FILE).read_text())
        self.schema = contract.row.model_json_schema(by_alias=True, mode="validation")
        self.schema_digest = schemas.digest_of(self.schema)
        self._row = contract.row
        predictor = load_model(contract.predictor, directory / MODEL_FOLDER)
        self._answering = Answering(contract, predictor, sys.maxsize, self._steps(contract, directory, code))

    def _steps(self, contract: Contract[Row, Answer], directory: Path, code: str) -> Steps | None:
        declared = [PostprocessingStep.model_validate(each) for each in self.about.get("postprocessing", ())]
        if not declared:
            return None

        def read(source: ListSource) -> str:
            return (directory / LISTS_FOLDER / f"{source.digest}.txt").read_text("utf-8")

        return Steps(declared, read, contract.answer, below=code)

    @overload
    def predict(self, rows: Row | Mapping[str, Any]) -> Answer: ...

    @overload
    def predict(self, rows: Sequence[Row | Mapping[str, Any]]) -> list[Answer]: ...

    def predict(self, rows: Row | Mapping[str, Any] | Sequence[Row | Mapping[str, Any]]) -> Answer | list[Answer]:
        """The answer to one row, or the answers to many in their order.

        A row is a `Row`, or a mapping of what its JSON would have: numbers, text, times as ISO 8601 text or `datetime`.

        Raises:
            RowsError: rows that the service would refuse too, with every mistake.
            SchemaError: rows of another contract's type.
            StepError: a post-processing step failed, as it would in the service.
        """
        single = isinstance(rows, (BaseModel, Mapping))
        given: Sequence[Any] = (rows,) if single else list(rows)
        for row in given:
            if isinstance(row, BaseModel) and not isinstance(row, self._row):
                self.require_schema(type(row).model_json_schema(by_alias=True, mode="validation"))
        if not given or not all(isinstance(row, self._row) for row in given):
            given = self._read(_json(given[0] if single else {"rows": given}))
        answers: list[Answer] = self._answering.answers(given)
        return answers[0] if single else answers

    def predict_json(self, body: bytes) -> bytes:
        """The answer to a JSON body as the service takes it, one row or `{"rows": [...]}`, to the last byte as the service's.

        Raises:
            RowsError: the service would answer 422.
        """
        try:
            return self._answering.answered(body)[1]
        except HttpError as refusal:
            raise RowsError(refusal.detail) from None

    def require_schema(self, schema: Mapping[str, Any] | str) -> None:
        """See that rows of a JSON Schema, or of one with that digest, are the package's.

        Raises:
            SchemaError: they are of another contract.
        """
        given = schema if isinstance(schema, str) else schemas.digest_of(schema)
        if given != self.schema_digest:
            fields = {} if isinstance(schema, str) else schemas.differences(self.schema, schema)
            package = f"{self.about['distribution']} {self.about['version']}"
            raise SchemaError(package, self.schema_digest, given, fields)

    def _read(self, body: bytes) -> Sequence[Any]:
        try:
            return self._answering.read(body)[0]
        except HttpError as refusal:
            raise RowsError(refusal.detail) from None


def _json(rows: Any) -> bytes:
    try:
        return to_json(rows, by_alias=True, fallback=_plain)
    except PydanticSerializationError as error:
        raise RowsError(str(error)) from None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON has no form for")


def _told(problems: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc'][1:])) or 'the row'}: {each['msg']}" for each in problems)
