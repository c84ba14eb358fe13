"""How often steps behind the model saw, changed, passed or failed answers, in one replica."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from threading import Lock

from heliostat.serving.postprocessing import Processed, StepError
from heliostat.spec.postprocessing import Outcome, StepCount, StepCounts


class Tally:
    """Counts what steps did in one replica, since it began. Safe to use from several threads."""

    def __init__(self, steps: Iterable[str] = ()) -> None:
        self._name = uuid.uuid4().hex
        self._steps = tuple(steps)
        self._lock = Lock()
        self._answers: Counter[tuple[str, Outcome, str]] = Counter()
        self._removed: Counter[tuple[str, Outcome, str]] = Counter()

    def note(self, processed: Processed) -> None:
        """Count the answers of one request."""
        with self._lock:
            for step in self._steps:
                self._answers[step, Outcome.SEEN, ""] += len(processed.answers)
            for change in processed.changes:
                key = (change.step, change.outcome, change.reason)
                self._answers[key] += 1
                self._removed[key] += change.removed

    def failed(self, error: StepError) -> None:
        """Count the answers of a request that a step failed on."""
        with self._lock:
            self._answers[error.step, Outcome.FAILED, error.kind] += error.answers

    def counts(self) -> StepCounts:
        """All of it."""
        with self._lock:
            counts = [
                StepCount(
                    step=step, outcome=outcome, reason=reason, answers=count, removed=self._removed[step, outcome, reason]
                )
                for (step, outcome, reason), count in sorted(self._answers.items())
            ]
        return StepCounts(tally=self._name, counts=tuple(counts))
