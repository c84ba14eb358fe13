"""Predicts many rows beforehand. Run by the provider's BatchPrediction, and by the controller when it is due, as a Ray job.

The rows come in parts that are named by their content. A part's predictions lie under a name made of that and of what
predicts: a part that is there is done, whoever was killed, and two runs at once write the same. The manifest comes last.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from heliostat.jobs.batch import tables as batch_tables
from heliostat.jobs.batch.parts import Predicting, contract_of, predictor_digest, result_key
from heliostat.jobs.batch.rows import Part, parts_of
from heliostat.jobs.specification import progress, run
from heliostat.spec.batch import PostgresSink, SqliteSink
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import Current, Declared, Result, ResultPart, current_key, declared_key, manifest_key
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, change, open_store


def predict(specification: BatchSpecification) -> None:
    """Predict what is not predicted yet, and name the result."""
    began = time.time()
    store = open_store(specification.store)
    declared = Declared(application=specification.application, sink=specification.sink)
    store.put(declared_key(specification.name, declared), declared.model_dump_json().encode(), only_if_absent=True)
    progress("looking at the rows")
    parts = parts_of(specification, contract_of(specification))
    result = _result(specification, parts)
    if not store.exists(manifest_key(specification.name, result.run)):
        _predict_missing(specification, store, parts)
        result = _sunk(specification, store, result)
        store.put(manifest_key(specification.name, result.run), result.model_dump_json(indent=2).encode())
    else:
        progress("all of it was predicted before")
        result = Result.model_validate_json(store.get(manifest_key(specification.name, result.run)))
    current = Current(result=result, at=began)
    _tell(store, current_key(specification.name, specification.model_uri), current)
    if specification.result_key:
        store.put(specification.result_key, _written(current))


def _tell(store: ObjectStore, key: str, current: Current) -> None:
    """Have a result be the newest of its version, but where a run that began later has ended before this one."""

    def newer(there: bytes) -> bytes:
        try:
            is_older = Current.model_validate_json(there).at <= current.at
        except ValidationError:  # another release wrote it
            is_older = True
        return _written(current) if is_older else there

    while not store.put(key, _written(current), only_if_absent=True):
        with suppress(ObjectMissingError):  # somebody removed it beside us
            change(store, key, newer)
            return


def _written(current: Current) -> bytes:
    return current.model_dump_json(indent=2).encode()


def _result(specification: BatchSpecification, parts: Sequence[Part]) -> Result:
    predictor = predictor_digest(specification)
    data = hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()
    sink = specification.sink.model_dump_json()
    return Result(
        name=specification.name,
        application=specification.application,
        run=hashlib.sha256(f"{predictor} {data} {sink}".encode()).hexdigest()[:32],
        model_uri=specification.model_uri,
        predictor=predictor,
        data=data,
        rows=sum(part.rows for part in parts),
        parts=tuple(
            ResultPart(key=result_key(specification, predictor, part), source=part.digest, rows=part.rows) for part in parts
        ),
        key=specification.key,
    )


def _predict_missing(specification: BatchSpecification, store: ObjectStore, parts: Sequence[Part]) -> None:
    predictor = predictor_digest(specification)
    missing = [part for part in parts if not store.exists(result_key(specification, predictor, part))]
    rows, done = sum(part.rows for part in parts), sum(part.rows for part in parts) - sum(part.rows for part in missing)
    if missing:
        progress(f"{done:,} of {rows:,} rows are predicted")
    for finished in _in_workers(specification, missing):
        done += finished["rows"]
        progress(f"{done:,} of {rows:,} rows are predicted")


def _in_workers(specification: BatchSpecification, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Have workers predict parts; each is told when it is there. One that dies is started again."""
    if not parts:
        return
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    ray.init(ignore_reinit_error=True, log_to_driver=False)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = 0
    workers = min(specification.run.workers, len(parts))
    rows = ray.data.from_items([part.as_row() for part in parts], override_num_blocks=len(parts))
    predicted = rows.map(
        Predicting,  # type: ignore[arg-type]  # a class whose objects are called
        fn_constructor_args=(specification.model_dump_json(),),
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=specification.run.cpus_per_worker,
    )
    try:
        yield from predicted.iter_rows()
    except Exception as error:
        raise _explained(error) from error


def _explained(error: Exception) -> Exception:
    """A worker's own error, from what Ray wraps it in."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PermanentError):
            return PermanentError(str(cause).strip().splitlines()[-1]) if "\n" in str(cause) else cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return error


def _sunk(specification: BatchSpecification, store: ObjectStore, result: Result) -> Result:
    """Put the result where the sink says; as the manifest tells it."""
    match specification.sink:
        case SqliteSink():
            progress("writing the table")
            key, digest = batch_tables.sqlite(specification, store, result.run, result.parts)
            return result.model_copy(update={"table": key, "table_sha256": digest})
        case PostgresSink() as sink:
            progress(f"loading the table {sink.table}")
            batch_tables.postgres(specification, sink, store, result.run, result.parts)
    return result


if __name__ == "__main__":
    run(BatchSpecification, predict)
