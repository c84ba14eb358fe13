"""Bare Celery, with its defaults and a result backend, whose task calls the same data plane.

Started by `celery -A bench.celery_app worker`.
"""

from __future__ import annotations

import os
import time
from functools import cache

from celery import Celery

from bench.task_model import arguments, opened
from heliostat.serving.dataplane import Call, DataPlane

_URL = os.environ["HELIOSTAT_BENCH_BROKER"]

app = Celery("bench", broker=_URL, backend=_URL)
app.conf.broker_connection_retry_on_startup = True


@cache
def _plane() -> DataPlane:
    """Made in the process that answers."""
    return opened(arguments(_URL, "/nowhere"))


@app.task  # type: ignore[untyped-decorator]
def double(body: str) -> str:
    """One task: text in and out, as Celery's JSON has it."""
    return _plane().predict(Call(None, replayed=False), body.encode(), time.perf_counter()).decode()
