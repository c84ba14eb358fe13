"""What becomes of a training that loses workers: an elastic one goes on as long as it gets on."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.callback import ReportCallback
from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError


class Kept(ReportCallback):
    """Counts the checkpoints that are kept."""

    def __init__(self) -> None:
        self.checkpoints = 0

    def after_report(self, training_report: Any, metrics: Any) -> None:
        """Called by Ray Train for each report of all workers."""
        self.checkpoints += training_report.checkpoint is not None


class ElasticFailurePolicy(DefaultFailurePolicy):
    """As Ray Train's own, but that lost workers count only where no checkpoint was kept since the loss before.

    A worker that its own code ends counts always. One that dies of the same each time, as for want of memory, gets no
    further and so is counted as well.
    """

    def __init__(self, failure_config: Any, kept: Kept) -> None:
        super().__init__(failure_config)
        self._kept = kept
        self._known = 0

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        """Try again, or give up."""
        gained, self._known = self._kept.checkpoints > self._known, self._kept.checkpoints
        if gained and is_loss(training_failed_error):
            return FailureDecision.RETRY
        return super().make_decision(training_failed_error)


def is_loss(error: TrainingFailedError) -> bool:
    """Whether a worker was lost. The others of its group then fail as well: with what it was connected by."""
    failures = error.worker_failures.values() if isinstance(error, WorkerGroupError) else ()
    return any(isinstance(_cause(failure), RayActorError) for failure in failures)


def _cause(failure: Exception) -> Exception:
    return failure.health_check_failure if isinstance(failure, WorkerHealthCheckFailedError) else failure
