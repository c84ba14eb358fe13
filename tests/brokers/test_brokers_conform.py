"""Each broker does what every broker has to do."""

from __future__ import annotations

import itertools

import pytest

from heliostat.spec.task_queue import SqsBroker
from heliostat.systems.brokers.sqlite import Sqlite
from heliostat.systems.objects import Directory
from heliostat.testing.conformance import BatchBrokerConformance, TaskBrokerConformance
from heliostat.testing.conformance.brokers import KEEP

_names = itertools.count()


class TestSqlite(BatchBrokerConformance):
    @pytest.fixture
    def broker(self, tmp_path):
        broker = Sqlite(tmp_path / "new" / "tasks.sqlite", KEEP)
        yield broker
        broker.close()


class TestRedis(BatchBrokerConformance):
    @pytest.fixture
    def broker(self, redis_server):
        from heliostat.systems.brokers.redis import Redis

        broker = Redis(redis_server.address, f"app-{next(_names)}", KEEP)
        yield broker
        broker.close()


class TestSqs(TaskBrokerConformance):
    soon = 1.0
    fences = False

    @pytest.fixture
    def broker(self, sqs_endpoint, tmp_path):
        from heliostat.systems.brokers.sqs import Sqs

        address = SqsBroker(region="eu-central-1", endpoint=sqs_endpoint, prefix=f"t{next(_names)}")
        self.made = lambda: Sqs(address, "app", Directory(tmp_path), KEEP, poll_seconds=0)
        broker = self.made()
        yield broker
        broker.close()

    def submit_fresh(self, broker, task, most):
        self.made().submit(task, most)
