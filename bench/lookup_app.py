"""The precomputed flights as a careful engineer would serve them with FastAPI and SQLite: the same table, contract and log."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response

from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.rollouts import ServingArguments
from workloads.flights.contract import CONTRACT, Flight, Lateness

_EPOCH = dt.datetime(1970, 1, 1)


def create() -> FastAPI:
    """What each worker of uvicorn serves."""
    arguments = ServingArguments.model_validate(json.loads(Path(os.environ["HELIOSTAT_BENCH_ARGUMENTS"]).read_text()))
    version = arguments.version
    table = os.environ["HELIOSTAT_BENCH_TABLE"]
    connection = sqlite3.connect(f"file:{table}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    columns = Columns.of(Flight, Lateness)
    spool = Path(str(arguments.spool))
    log = PredictionLog(version.prediction_log, version.store, spool, arguments.application, version.label, columns)
    query = (
        "SELECT prediction FROM predictions WHERE carrier = ? AND origin = ? AND destination = ? "
        "AND scheduled_departure = ? AND scheduled_arrival = ? AND distance_miles = ?"
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        log.close()

    application = FastAPI(title=CONTRACT.title, lifespan=lifespan)

    @application.post("/predict", response_model=Lateness)
    async def predict(flight: Flight, request: Request) -> Response:
        started = time.perf_counter()
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        times = (int((each - _EPOCH).total_seconds()) for each in (flight.scheduled_departure, flight.scheduled_arrival))
        key = (flight.carrier, flight.origin, flight.destination, *times, flight.distance_miles)
        found = connection.execute(query, key).fetchone()
        if found is None:
            raise HTTPException(404, "nothing was predicted for this flight")
        answer = CONTRACT.respond(found[0]).model_dump_json().encode()
        log.add(request_id.encode(), await request.body(), 1, answer, time.perf_counter() - started)
        headers = {"x-request-id": request_id, "x-heliostat-version": version.label}
        return Response(answer, media_type="application/json", headers=headers)

    return application
