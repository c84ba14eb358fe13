"""The model that is watched, as the replica has it: what it would answer to rows of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from heliostat.jobs.personal_texts import quoting_none
from heliostat.ml.contracts import Contract, columns_of, fields_of, load_entry_point, reads_whole
from heliostat.ml.ensembles import load_model
from heliostat.ml.predictions import parts_of
from heliostat.serving import model_cache
from heliostat.serving.prediction_log.columns import Column, Columns, personal_names
from heliostat.spec.base import Model
from heliostat.spec.formatting import counted
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.systems.errors import PermanentError


class Described(Model):
    """What a look knows of a contract without its code."""

    inputs: tuple[str, ...]
    """The names of its fields, as clients give them."""
    answer: tuple[str, ...]
    """The names of the answer's fields."""
    columns: tuple[Column, ...]
    """Its inputs as the prediction log has them."""
    example: dict[str, Any] | None
    """The first row that it shows; None where it shows none."""
    reads_whole: bool
    """Whether its predictor loads from all of MLflow's folder."""

    @classmethod
    def of(cls, contract: Contract[Any, Any]) -> Described:
        """Describe a contract."""
        columns = Columns.of(contract.row, contract.answer)
        examples = contract.examples
        return cls(
            inputs=tuple(fields_of(contract)),
            answer=tuple(column.name for column in columns.prediction),
            columns=columns.input,
            example=examples[0].model_dump(mode="json", by_alias=True) if examples else None,
            reads_whole=reads_whole(contract.predictor),
        )


class Answers(ABC):
    """A version of a model behind a contract."""

    described: Described

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the contract's fields, as clients give them."""
        return self.described.inputs

    @abstractmethod
    def answers(self, rows: pa.Table) -> pa.Array:
        """The watched field of the answers to rows that are columns of a table, as a training has them.

        Raises:
            PermanentError: the answer has no such field, or the rows no column that the model needs.
        """

    @abstractmethod
    def served(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], pa.Array]:
        """The predictor's columns and the answers' field for rows as clients send them.

        Raises:
            PermanentError: a row does not fit the contract any more.
        """


class Answering(Answers):
    """A contract and its predictor in this process, loaded with the first rows.

    Args:
        specification: What is watched.
        folder: What the predictor loads from; by default it is fetched from the registry.

    Raises:
        PermanentError: the entry point is no contract.
    """

    def __init__(self, specification: MonitorSpecification, folder: Path | None = None) -> None:
        self._specification, self._folder = specification, folder
        contract = load_entry_point(specification.contract)
        if not isinstance(contract, Contract):
            raise PermanentError(f"{specification.contract} is a {type(contract).__name__}: it must be a Contract")
        self._contract: Contract[Any, Any] = contract
        self.described = Described.of(contract)
        self._predictor: Any = None

    def answers(self, rows: pa.Table) -> pa.Array:  # noqa: D102 - see Answers
        own = [name for name in self.inputs if name in rows.column_names]
        with quoting_none(personal_names(self._contract.row), rows):
            return self._fields(self._predicted(columns_of(rows.select(own))))

    def served(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], pa.Array]:  # noqa: D102 - see Answers
        try:
            found = [self._contract.row.model_validate(row) for row in rows]
        except ValidationError as error:
            text = counted(error.error_count(), "mistake")
            raise PermanentError(f"rows of the log do not fit the contract: {text}: {error.errors()[0]['msg']}") from None
        columns = self._contract.columns(found)
        return columns, self._fields(self._predicted(columns))

    def _predicted(self, columns: Mapping[str, Any]) -> Any:
        if self._predictor is None:
            kind, asked = self._contract.predictor, self._specification
            folder = self._folder
            if folder is None:
                folder = model_cache.fetch(asked.model_uri, asked.tracking_uri, whole=self.described.reads_whole)
            self._predictor = load_model(kind, folder)
        try:
            return self._predictor.predict(columns)
        except KeyError as error:
            raise PermanentError(f"the model does not predict these rows: {type(error).__name__}: {error}") from error

    def _fields(self, predictions: Any) -> pa.Array:
        name = self._specification.monitor.field
        answers = [self._contract.respond(part).model_dump(mode="json", by_alias=True) for part in parts_of(predictions)]
        if answers and name not in answers[0]:
            raise PermanentError(f"the answer has no field {name!r} for monitor.field: it has {', '.join(answers[0])}")
        return pa.array([answer[name] for answer in answers])


def as_column(values: Any) -> pa.Array:
    """A predictor's column; arrays of one dimension as they are, for Arrow reads no dates out of a list of NumPy's."""
    if isinstance(values, pa.Array):
        return values
    return pa.array(values if isinstance(values, np.ndarray) and values.ndim == 1 else list(values))
