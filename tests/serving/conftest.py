"""The event loop that replicas have, and an application with its log, for whoever tests one."""

from __future__ import annotations

import pytest
import uvloop
from serving_fakes import Log, answers

from heliostat.spec.workload import Limits


def pytest_asyncio_loop_factories():
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def app(log):
    """The small application, with limits that a test reaches."""
    return answers(log, limits=Limits(max_body_bytes=20_000, max_rows=100))
