"""What a retraining costs: what the training of a version took, by its report, at the price of the nodes that it fills."""

from __future__ import annotations

from pydantic import ValidationError

from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.training_report import REPORT, TrainingReport
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_HOUR = 3_600.0


class Costs:
    """The costs of trainings of the workload that is watched.

    Args:
        specification: What is watched, with the price of an hour.
        store: Where reports are.
    """

    def __init__(self, specification: MonitorSpecification, store: ObjectStore) -> None:
        policy = specification.monitor.retraining
        self._price = specification.usd_an_hour if policy is not None and policy.budget_usd is not None else None
        self._specification, self._store = specification, store
        self._seconds: dict[str, float] | None = None

    def of_version(self, model_uri: str) -> float | None:
        """USD that the training of a version took; None where no budget is declared, or nobody knows."""
        if self._price is None:
            return None
        try:
            with Registry(self._specification.tracking_uri) as registry:
                version = registry.version(model_uri)
        except (PermanentError, RetryableError):
            return None
        return self.of_run(version.run_id) if version is not None else None

    def of_run(self, run_id: str) -> float | None:
        """The same of a run."""
        if self._price is None:
            return None
        seconds = self._reports().get(run_id)
        return seconds / _HOUR * self._price if seconds is not None else None

    def _reports(self) -> dict[str, float]:
        """How long each run's training took."""
        if self._seconds is None:
            self._seconds = {}
            name = self._specification.dataset_key.split("/")[1]
            for info in self._store.list(f"trainings/{name}/"):
                if not info.key.endswith(REPORT):
                    continue
                try:
                    report = TrainingReport.model_validate_json(self._store.get(info.key))
                except (ObjectMissingError, ValidationError):
                    continue
                self._seconds[report.run_id] = report.seconds
        return self._seconds
