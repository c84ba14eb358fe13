"""The learning curve of a training, written to MLflow from a thread of its own so that the training never waits for it."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Mapping

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import RESUMED_TAG, Registry

FLUSH_SECONDS = 2.0
_CLOSE_SECONDS = 10.0


class MetricLogger:
    """Points `(name, value, step)` of one run. Without a tracking server it does nothing."""

    def __init__(self, tracking_uri: str, run_id: str) -> None:
        self._tracking_uri, self._run_id = tracking_uri, run_id
        self._points: queue.SimpleQueue[tuple[str, float, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if tracking_uri:
            self._thread = threading.Thread(target=self._write, args=(tracking_uri, run_id), name="metric-logger", daemon=True)
            self._thread.start()

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Queue the figures of a step."""
        for name, value in metrics.items():
            self._points.put((name, float(value), step))

    def mark(self, text: str) -> None:
        """Tag the run as resumed, and how; unlike a point, this is not to be lost.

        Raises:
            PermanentError, RetryableError: MLflow does not take it.
        """
        if self._tracking_uri:
            with Registry(self._tracking_uri) as registry:
                registry.log(self._run_id, tags={RESUMED_TAG: text})

    def close(self) -> None:
        """Write what is queued, waiting a while at most: a curve is not worth a training."""
        self._points.put(None)
        if self._thread:
            self._thread.join(_CLOSE_SECONDS)

    def _write(self, tracking_uri: str, run_id: str) -> None:
        open_ = True
        with Registry(tracking_uri) as registry:
            while open_:
                batch, open_ = self._next_batch()
                try:
                    if batch:
                        registry.log(run_id, metrics=batch)
                except (PermanentError, RetryableError) as error:
                    print(f"{len(batch)} points of the learning curve are lost: {error}", file=sys.stderr)  # noqa: T201

    def _next_batch(self) -> tuple[list[tuple[str, float, int]], bool]:
        """What comes in within the next seconds, and whether more may come."""
        import time

        batch: list[tuple[str, float, int]] = []
        deadline = time.monotonic() + FLUSH_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                point = self._points.get(timeout=left)
            except queue.Empty:
                break
            if point is None:
                return batch, False
            batch.append(point)
        return batch, True
