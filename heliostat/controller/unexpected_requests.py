"""How many requests were not as the data set's schema expects, asked of the replicas for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily

from heliostat.controller.asking_replicas import Place, asked
from heliostat.controller.reconciler import Reconciler
from heliostat.spec.expectations import EXPECTATIONS, BreachCounts


class UnexpectedRequests:
    """Asks every replica of the versions that hold requests to a schema."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.counts: tuple[tuple[Place, BreachCounts], ...] = ()
        """As they were asked for last, of the replicas that answered."""

    async def refresh(self) -> None:
        """Ask all of them; what does not answer in time is not told."""
        found = await asked(
            self._reconciler, EXPECTATIONS, BreachCounts, lambda _, desired: desired.version.expectations is not None
        )
        self.counts = tuple((place, counts) for place, counts in found if counts is not None)

    def families(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        told = CounterMetricFamily(
            "heliostat_requests_unexpected",
            "Requests in which a field was not as the data set's schema expects, refused or not",
            labels=["application", "version", "replica", "field", "expectation"],
        )
        for place, counts in self.counts:
            for each in counts.counts:
                labels = [place.application, place.version, place.replica, each.field, each.expectation]
                told.add_metric(labels, each.requests)
        yield told
