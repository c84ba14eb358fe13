"""One suite a seam: what every backend has to do, whatever it is made of.

A backend's tests inherit its suite and give the fixtures that the suite leaves open.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{each}" for each in ("batch_brokers", "brokers", "jobs", "routing", "serving", "storage"))
)

from heliostat.testing.conformance.batch_brokers import BatchBrokerConformance  # noqa: E402 - rewritten before it is imported
from heliostat.testing.conformance.brokers import TaskBrokerConformance  # noqa: E402
from heliostat.testing.conformance.jobs import JobRunnerConformance  # noqa: E402
from heliostat.testing.conformance.routing import TrafficRouterConformance  # noqa: E402
from heliostat.testing.conformance.serving import ServingBackendConformance  # noqa: E402
from heliostat.testing.conformance.storage import ObjectStoreConformance  # noqa: E402

__all__ = [
    "BatchBrokerConformance",
    "JobRunnerConformance",
    "ObjectStoreConformance",
    "ServingBackendConformance",
    "TaskBrokerConformance",
    "TrafficRouterConformance",
]
