"""The flights application as a careful engineer would write it with FastAPI: the contender for what Python can do at best.

Same request type, predictor, answer and prediction log as in the stack. It answers on the event loop (the model takes a
tenth of a millisecond: a thread would cost more), serialises the answer once, for the client and for the log, and leaves
out what the stack's application does beyond that (limits, many rows, golden requests).
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from heliostat.serving import model_cache
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.rollouts import ServingArguments
from workloads.flights.contract import CONTRACT, Flight, Lateness


def create() -> FastAPI:
    """What each worker of uvicorn serves."""
    arguments = ServingArguments.model_validate(json.loads(Path(os.environ["HELIOSTAT_BENCH_ARGUMENTS"]).read_text()))
    version = arguments.version
    predictor = CONTRACT.predictor.load(model_cache.fetch(version.model_uri, version.tracking_uri))
    spool = Path(str(arguments.spool))
    columns = Columns.of(Flight, Lateness)
    log = PredictionLog(version.prediction_log, version.store, spool, arguments.application, version.label, columns)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        log.close()

    application = FastAPI(title=CONTRACT.title, lifespan=lifespan)

    @application.post("/predict", response_model=Lateness)
    async def predict(flight: Flight, request: Request) -> Response:
        started = time.perf_counter()
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        scores: Any = predictor.predict(CONTRACT.columns([flight]))
        score = float(scores[0])
        answer = CONTRACT.respond(score).model_dump_json().encode()
        log.add(request_id.encode(), await request.body(), 1, answer, time.perf_counter() - started)
        headers = {"x-request-id": request_id, "x-heliostat-version": version.label}
        return Response(answer, media_type="application/json", headers=headers)

    return application
