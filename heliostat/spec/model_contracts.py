"""The contract of a workload whose model somebody else logged: the file `contract.yaml` in the workload's folder.

`heliostat contract` writes it from the model's signature and input example, a person reviews it, and it is held to after that:
what a client may send, what it is answered, and which answers are known.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import Field, ValidationError, model_validator

from heliostat.spec.base import Digest, Model
from heliostat.spec.logged_models import Loader, Reads
from heliostat.spec.mistakes import Path, mistakes_in
from heliostat.spec.model_fields import ModelField

FILE: Final = "contract.yaml"
"""In the workload's folder."""
SCHEMA_FILE: Final = "model-contract.schema.json"
"""In the folder of the configs."""
TODO: Final = "TODO"
"""What the value of every question begins with that the model leaves open."""

Locate = Callable[[Path], tuple[int, int] | None]
"""Line and column, from 1, of what stands at a path; None where nobody knows."""


class ModelContractError(ValueError):
    """A contract does not fit, or has questions open; its text lists every mistake with its place."""


class Ranges(StrEnum):
    """Whether somebody has looked at which values make sense: a signature knows types alone."""

    GIVEN = "given"
    """Fields have limits: `minimum`, `maximum`, `minLength`, `maxLength` or `choices`."""
    OPEN = "open"
    """Every value of a field's type is taken."""


class ModelTask(StrEnum):
    """The kind of problem that the model solves."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"
    QUANTILES = "quantiles"
    RANKING = "ranking"
    FORECASTING = "forecasting"
    EMBEDDING = "embedding"
    FREE = "free"
    """None of these."""


class RecordedAnswer(Model):
    """A request and what the model answered."""

    name: str
    request: dict[str, Any]
    answer: dict[str, Any]


class Recorded(Model):
    """The model that the answers are of."""

    model: str
    """Its address, as it was asked for."""
    digest: Digest
    """SHA-256 of its `MLmodel`, by which it is known again under any address."""


class ModelInterface(Model):
    """What a model takes and answers: what a later one is held to."""

    reads: Reads
    """What the model is given the rows of a request as."""
    loader: Loader = Loader.NATIVE
    """What answers; `native` only where it was seen to answer what `pyfunc` does."""
    request: Annotated[dict[str, ModelField], Field(min_length=1)]
    """The fields of one row, by the names that clients use."""
    answer: Annotated[dict[str, ModelField], Field(min_length=1)]
    """The fields of the answer to one row."""


class ModelContract(ModelInterface):
    """What a model of others promises clients."""

    title: Annotated[str, Field(min_length=1)]
    """Of the application, in OpenAPI too."""
    description: Annotated[str, Field(min_length=1)]
    """What it tells, and for whom."""
    task: ModelTask
    """The kind of problem that it solves; a tag of the version in the registry."""
    ranges: Ranges
    """Whether fields have limits beside their types."""
    examples: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    """Rows that are shown in OpenAPI; the first is the request that people try. Answers are recorded of each of them."""
    recorded: Recorded
    """The model that the golden answers are of."""
    golden: Annotated[tuple[RecordedAnswer, ...], Field(min_length=1)]
    """Requests whose answers are known: each new replica is asked them before it gets traffic. The model that they were
    recorded of has to answer them alike; of a later one, the answer has to have the right form."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-9
    """How far a number of an answer may be from the one that was recorded, relative to it."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if mistakes := list(_mistakes(self)):
            raise ValueError("; ".join(mistakes))
        return self

    @property
    def columns(self) -> dict[str, ModelField]:
        """The request's fields without the model's parameters, by the model's names of them."""
        return {field.column or name: field for name, field in self.request.items() if not field.parameter}


def _mistakes(contract: ModelContract) -> Iterator[str]:
    if contract.ranges is Ranges.GIVEN and not any(field.is_limited for field in contract.request.values()):
        yield "ranges are `given`, and no field of the request has a limit: give some, or write `ranges: open`"
    for where, fields in (("request", contract.request), ("answer", contract.answer)):
        names = [field.column or name for name, field in fields.items()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"{where}: {', '.join(twice)} is the column of several fields"
    if all(field.parameter for field in contract.request.values()):
        yield "request: all fields are parameters: the model needs columns"


def contract_of(given: Any, file: str, locate: Locate = lambda _: None) -> ModelContract:
    """The contract that a file holds, as YAML has it.

    Raises:
        ModelContractError: with every open question and every mistake.
    """
    if not isinstance(given, Mapping):
        raise ModelContractError(f"{file} is no contract: it has to be a mapping; `heliostat contract` writes one")
    values = plain(given)
    told = {path: f"is still to be answered: {text}" for path, text in questions(values)}
    try:
        contract = ModelContract.model_validate(values)
    except ValidationError as error:
        for mistake in mistakes_in(ModelContract, error, values):
            if not any(_is_below(mistake.path, path) for path in told):
                told.setdefault(mistake.path, mistake.text)
    if told:
        count = f"{len(told)} mistake" + ("s" if len(told) > 1 else "")
        lines = [f"  {file}{_at(locate(path))}: {'.'.join(map(str, path)) or 'contract'}: {told[path]}" for path in told]
        raise ModelContractError("\n".join([f"{count} in {file}:", *lines]))
    return contract


def questions(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every question that is open in a contract, by its path."""
    if isinstance(value, str) and value.startswith(TODO):
        yield path, value.removeprefix(TODO).removeprefix(":").strip() or "give a value"
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from questions(each, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from questions(each, (*path, index))


def plain(value: Any) -> Any:
    """What YAML has read as JSON has it: dates as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value


def schema_text() -> str:
    """The JSON Schema that editors check the file against, as the committed file holds it."""
    from heliostat.spec.describing import Described

    schema = ModelContract.model_json_schema(by_alias=True, schema_generator=Described)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Contract of a model of others",
        "description": "A workload's contract.yaml. Made from heliostat.spec; do not edit.",
    }
    return json.dumps({**schema, **head}, indent=2) + "\n"


def _is_below(path: Path, top: Path) -> bool:
    """Whether a mistake is of a question, or of a whole that has one within."""
    short = min(len(path), len(top))
    return path[:short] == top[:short]


def _at(place: tuple[int, int] | None) -> str:
    return f":{place[0]}:{place[1]}" if place else ""
