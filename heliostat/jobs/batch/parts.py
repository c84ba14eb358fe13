"""Predicts parts, in workers that have the model loaded; a part's predictions are written once, under a name of their own."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import ValidationError, to_json

from heliostat.jobs.batch.personal import PersonalColumns
from heliostat.jobs.batch.rows import Part, local
from heliostat.jobs.personal_texts import quoting_none
from heliostat.ml.contracts import Contract, columns_of, fields_of, load_entry_point, reads_whole
from heliostat.ml.ensembles import load_model
from heliostat.ml.predictions import Predictions, parts_of, rows_of
from heliostat.ml.priority import lower_priority
from heliostat.serving import model_cache
from heliostat.serving.bodies import Bodies, problems
from heliostat.serving.opening import steps_of
from heliostat.serving.postprocessing import StepError, Steps
from heliostat.serving.prediction_log.columns import personal_names
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.batch import ANSWER, CHANGES, PREDICTION
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import part_key
from heliostat.systems import library_packages
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

_CHECKED_AT_ONCE: Final = 10_000


def predictor_digest(specification: BatchSpecification) -> str:
    """Of all that decides the predictions of a row, and what is kept beside them."""
    parts: dict[str, Any] = {
        "contract": specification.contract,
        "code": specification.code_digest,
        "library": library_packages.here(),
        "model": specification.model_uri,
        "kept": [*specification.key, "", *specification.columns],
        **({"environment": specification.environment_digest} if specification.environment_digest else {}),
    }
    if specification.postprocessing:
        parts["postprocessing"] = [step.label for step in specification.postprocessing]
    if specification.privacy is not None:
        parts["keys"] = [key.id for key in specification.privacy.keys[:1]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def result_key(specification: BatchSpecification, predictor: str, part: Part) -> str:
    """Where a part's predictions lie."""
    return part_key(specification.name, hashlib.sha256(f"{predictor} {part.digest}".encode()).hexdigest())


class Predicting:
    """A worker: loads the model once, and predicts one part a call."""

    def __init__(self, specification: str) -> None:
        lower_priority()
        self._specification = BatchSpecification.model_validate_json(specification)
        self._predictor_digest = predictor_digest(self._specification)
        self._contract = contract_of(self._specification)
        whole = reads_whole(self._contract.predictor)
        folder = model_cache.fetch(self._specification.model_uri, self._specification.tracking_uri, whole=whole)
        self._predictor = load_model(self._contract.predictor, folder)
        self._fields = fields_of(self._contract)
        self._bodies = Bodies(self._contract.row, _CHECKED_AT_ONCE)
        # A step is asked with the rows of a batch, as it is with those of a request.
        self._batch_bodies = Bodies(self._contract.row, self._specification.run.batch_rows)
        self._steps = steps_of(self._specification.postprocessing, self._contract, self._specification.store)
        self._personal = PersonalColumns.of(self._specification, self._contract)
        self._personal_names = personal_names(self._contract.row)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Predict a part, where nobody has yet."""
        part = Part(**row)
        store = open_store(self._specification.store)
        key = result_key(self._specification, self._predictor_digest, part)
        if not store.exists(key):
            with tempfile.TemporaryDirectory(prefix="heliostat-part-") as folder:
                path = Path(folder, "part.parquet")
                self._write(part, path)
                store.put(key, path.read_bytes(), only_if_absent=True)
        return {"key": key, "rows": part.rows}

    def _write(self, part: Part, path: Path) -> None:
        writer: pq.ParquetWriter | None = None
        try:
            for table in self._predicted(part):
                writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    def _predicted(self, part: Part) -> Iterator[pa.Table]:
        """The part's rows with their predictions, batch by batch."""
        checked = self._specification.run.checked_rows
        left = None if checked == "all" else checked
        for table in self._batches(part):
            with quoting_none(self._personal_names, table):
                found = self._of_batch(part, table, left)
            left = None if left is None else max(0, left - table.num_rows)
            yield found

    def _of_batch(self, part: Part, table: pa.Table, left: int | None) -> pa.Table:
        columns, rows = self._taken(part, table, left)
        predictions = self._predictor.predict(columns)
        if (there := rows_of(predictions)) != table.num_rows:
            raise PermanentError(f"the predictor gave {there} predictions for {table.num_rows} rows")
        found = self._personal.kept(table).append_column(PREDICTION, prediction_array(predictions))
        if self._steps is not None and rows is not None:
            found = self._with_answers(self._steps, part, rows, found, predictions)
        return found

    def _taken(self, part: Part, table: pa.Table, left: int | None) -> tuple[Mapping[str, Any], Sequence[Any] | None]:
        """The predictor's columns, and the rows where the contract or steps read them, checked then; else `left` rows are.

        Raises:
            PermanentError: with the mistakes of the first that do not fit.
        """
        if self._reads_rows:
            rows = self._rows(part, table, 0, table.num_rows, self._batch_bodies)
            return self._contract.columns(rows), rows
        columns = self._columns(part, table)
        if self._steps is not None:
            return columns, self._rows(part, table, 0, table.num_rows, self._batch_bodies)
        self._check(part, table if left is None else table.slice(0, left))
        return columns, None

    def _with_answers(
        self, steps: Steps, part: Part, rows: Sequence[Any], found: pa.Table, predictions: Predictions
    ) -> pa.Table:
        """The predictions with the answers that a client would get for them, and what steps changed, as JSON.

        Raises:
            PermanentError: a step fails.
        """
        answers = [self._contract.respond(score) for score in parts_of(predictions)]
        try:
            processed = steps.apply(rows, answers)
        except StepError as error:
            raise PermanentError(f"{part.key}: {error}: {error.why}") from error
        told: list[list[dict[str, Any]]] = [[] for _ in rows]
        for change in processed.changes:
            told[change.row].append(change.as_logged())
        changes = pa.array([to_json(each).decode() if each else None for each in told], pa.string())
        answered = pa.array([self._personal.answer(each).decode() for each in processed.encoded], pa.string())
        return found.append_column(ANSWER, answered).append_column(CHANGES, changes)

    def _batches(self, part: Part) -> Iterator[pa.Table]:
        store = open_store(StoreAddress.model_validate_json(part.store))
        with local(store, part.key) as path, pq.ParquetFile(path) as file:
            wanted = self._wanted(part, file.schema_arrow.names)
            groups = list(range(part.first, part.first + part.groups))
            for batch in file.iter_batches(self._specification.run.batch_rows, groups, wanted):
                yield pa.Table.from_batches([batch])

    def _wanted(self, part: Part, there: list[str]) -> list[str]:
        """The columns to read.

        Raises:
            PermanentError: with all that are missing.
        """
        fields = self._fields
        must = [*(name for name, field in fields.items() if field.is_required()), *self._specification.key]
        must += self._specification.columns
        if missing := sorted({*must} - {*there}):
            raise PermanentError(f"{part.key} has no column {', '.join(missing)}; it has {', '.join(there)}")
        asked = {*fields, *must}
        return [name for name in there if name in asked]

    def _columns(self, part: Part, table: pa.Table) -> Mapping[str, Any]:
        """The predictor's columns; a field that the rows do not have is what the contract puts there."""
        for name in self._fields:
            if name in table.column_names and table[name].null_count and not self._takes_none(name):
                count = table[name].null_count
                raise PermanentError(f"{part.key}: {name} is missing in {count} rows of one batch: the contract needs it")
        found = dict(columns_of(table.select([n for n in self._fields if n in table.column_names])))
        for name, field in self._fields.items():
            if name not in found:
                found[name] = [field.get_default(call_default_factory=True)] * table.num_rows
        return found

    @property
    def _reads_rows(self) -> bool:
        """Whether the contract itself makes columns of rows, as those of models of others do: then it makes them here too."""
        return type(self._contract).columns is not Contract.columns

    def _takes_none(self, name: str) -> bool:
        try:
            # What else is wrong with such a row is none of this question.
            self._contract.row.model_validate({name: None})
        except ValidationError as error:
            return not any(each["loc"][:1] == (name,) for each in error.errors(include_url=False))
        return True

    def _check(self, part: Part, table: pa.Table) -> None:
        """Hold rows against the contract, as the service does.

        Raises:
            PermanentError: with the mistakes of the first that do not fit.
        """
        for start in range(0, table.num_rows, _CHECKED_AT_ONCE):
            self._rows(part, table, start, _CHECKED_AT_ONCE, self._bodies)

    def _rows(self, part: Part, table: pa.Table, start: int, count: int, bodies: Bodies) -> Sequence[Any]:
        """Rows as the contract has them.

        Raises:
            PermanentError: with the mistakes of the first that do not fit.
        """
        fields = [name for name in self._fields if name in table.column_names]
        rows = table.select(fields).slice(start, count).to_pylist()
        body = to_json({"rows": rows}, inf_nan_mode="constants")
        try:
            return bodies.read(body)[0]
        except ValidationError as error:
            told = problems(error, body)[:3]
            shown = "; ".join(f"{'.'.join(map(str, each['loc'][2:]))}: {each['msg']}" for each in told)
            raise PermanentError(f"{part.key}: rows do not fit the contract (row.field): {shown}") from None


def contract_of(specification: BatchSpecification) -> Contract[Any, Any]:
    """The contract whose predictor predicts.

    Raises:
        PermanentError: the entry point is none.
    """
    contract = load_entry_point(specification.contract)
    if not isinstance(contract, Contract):
        raise PermanentError(f"{specification.contract} is a {type(contract).__name__}: it must be a Contract")
    return contract


def prediction_array(predictions: Predictions) -> pa.Array:
    """Predictions as an Arrow column: numbers or texts as they are, several a row as lists, those by name as structs."""
    if isinstance(predictions, np.ndarray) and predictions.ndim == 1:
        return pa.array(predictions)
    return pa.array(parts_of(predictions))
