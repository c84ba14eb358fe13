"""A worker's process: `python -m heliostat.serving.queue`, started by `heliostat.serving.queue.workers`.

On its standard input comes a line, what it is (a `WorkerSettings`); once that input ends, whoever looks after it is gone, and
it ends too. On its standard output it writes a line: `{"ready": true}`, or `{"error": "..."}` where it cannot answer with that
version.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import IO

from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.opening import open_plane
from heliostat.serving.queue.adoption import Labels
from heliostat.serving.queue.consumer import Consumer, Work
from heliostat.serving.queue.settings import WorkerSettings
from heliostat.spec.rollouts import ServingArguments
from heliostat.systems.brokers import open_broker
from heliostat.systems.brokers.base import Lease


def open_answers(arguments: ServingArguments) -> DataPlane:
    """What answers tasks as requests are answered: from predictions made beforehand first, where the version has any.

    Raises:
        PermanentError, RetryableError: it cannot be opened.
    """
    settings = arguments.version.lookup
    if settings is None:
        return open_plane(arguments)
    # Most versions have none, and need no SQLite.
    from heliostat.serving.lookup.opening import open_looking_up

    plane, predictor, table = open_looking_up(arguments, settings)
    predictor.serve()
    table.follow(settings.refresh_seconds)
    return plane


def main(opened: Callable[[ServingArguments], DataPlane] = open_answers) -> int:
    """Work on tasks until SIGTERM or the end of the input, with the data plane that `opened` makes."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s tasks: %(message)s")
    # What the workload prints is no answer to whoever started this.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # An interrupt of a terminal is for whoever started this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = WorkerSettings.model_validate_json(sys.stdin.readline())
    arguments, version = settings.arguments, settings.arguments.version
    try:
        if version.queue is None:
            raise ValueError(f"{version.label} takes no tasks")
        plane = opened(arguments)
        broker = open_broker(version.queue, arguments.application, version.store)
    except Exception as error:
        traceback.print_exc()
        _say(told, {"error": f"{type(error).__name__}: {error}"})
        return 1
    labels = Labels(broker, version.label)
    consumer = Consumer(broker, Work(version.queue, version.label, settings.name, lambda lease: _answer(plane, lease)), labels)
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
    threading.Thread(target=_await_end, args=(consumer,), daemon=True).start()
    ended = threading.Event()
    labels.keep_fresh(ended)
    _say(told, {"ready": True})
    consumer.run()
    ended.set()
    plane.close()
    broker.close()
    return 0


def _answer(plane: DataPlane, lease: Lease) -> bytes:
    keys, personal = plane.personal.keys, plane.personal
    body, consents = keys.unseal(lease.payload)
    try:
        answer = plane.predict(Call(lease.id.encode(), replayed=False, consents=consents), body, time.perf_counter())
    except HttpError as refusal:
        raise personal.refusal(refusal, body) from None
    # Who asks for the answer gets it whole; what it is kept in does not show it.
    return keys.seal(answer, consents) if personal.in_answers else answer


def _say(told: IO[str], what: dict[str, object]) -> None:
    told.write(json.dumps(what) + "\n")
    told.close()


def _await_end(consumer: Consumer) -> None:
    sys.stdin.read()
    consumer.stop()


if __name__ == "__main__":
    sys.exit(main())
