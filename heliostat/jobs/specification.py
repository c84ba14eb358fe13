"""How a job reads what it is told, and says what became of it."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn, TypeVar

from pydantic import TypeAdapter

from heliostat.ml.priority import lower_priority
from heliostat.spec.base import Model
from heliostat.spec.jobs import SpecificationAddress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store
from heliostat.systems.ray_jobs import FAILURE, PROGRESS

S = TypeVar("S", bound=Model)


def run(kind: type[S], work: Callable[[S], None]) -> None:
    """Read the specification that the command line names and do `work`; a failure is told in the log, and exits with 1."""
    lower_priority()
    try:
        where = SpecificationAddress.model_validate_json(sys.argv[1])
        work(TypeAdapter(kind).validate_json(open_store(where.store).get(where.key)))
    except Exception as error:
        told = str(error) if isinstance(error, PermanentError) else traceback.format_exc()
        fail("failed", told)
        sys.exit(1)
    _leave()


def _leave() -> NoReturn:
    """End now. An interpreter with Ray and MLflow takes a second and a half to take itself apart, and whoever waits for the
    job waits for that; half a second of it is Ray's, for lines of workers that may be on their way: they ended before."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def progress(text: str) -> None:
    """Show what the job is doing."""
    print(PROGRESS + json.dumps({"text": text}), flush=True)  # noqa: T201


def fail(kind: str, message: str) -> None:
    """Tell why the job fails; `kind` is `failed`, `memory` or `killed`."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201
    print(FAILURE + json.dumps({"kind": kind, "message": message[-8000:]}), flush=True)  # noqa: T201
