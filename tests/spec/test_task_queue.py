"""What a stack says of a queue of tasks, and where it goes."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from heliostat.spec.stack import ConfigError, parse
from heliostat.spec.task_queue import RedisBroker, SqliteBroker, TaskQueue
from heliostat.spec.workload import Serving


def queue_of(given):
    sections = {"platform": {"kind": "local"}, "workloads": {"flights": {"serving": {"queue": given}}}}
    return parse(sections, "Pulumi.local.yaml", ["flights"]).workloads["flights"].serving.queue


def test_nothing_is_a_queue_on_this_machine_with_its_defaults():
    queue = queue_of({})
    assert queue == TaskQueue()
    assert (queue.broker, queue.lease_seconds, queue.max_attempts) == (SqliteBroker(), 15.0, 4)


def test_a_workload_without_a_queue_says_nothing_of_one():
    assert Serving().queue is None
    assert "queue" not in json.loads(Serving().model_dump_json()), "older releases refuse what they do not know"


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"broker": {"kind": "redis", "url": "redis://me:secret@h:6379"}}, "queue.broker", "pattern"),
        ({"broker": {"kind": "redis"}}, "queue.broker", "url"),
        ({"broker": {"kind": "kafka"}}, "queue.broker", "kafka"),
        ({"leaseSeconds": 26}, "queue.leaseSeconds", "25"),
        ({"maxAttempts": 0}, "queue.maxAttempts", "1"),
        ({"workers": {"concurrency": 0}}, "queue.workers.concurrency", "1"),
        ({"webhooks": {"origins": [], "secret": {"kind": "file", "path": "/s"}}}, "queue.webhooks.origins", "1"),
        (
            {"webhooks": {"origins": ["https://a.example/path"], "secret": {"kind": "file", "path": "/s"}}},
            "origins",
            "pattern",
        ),
        ({"depth": 1}, "queue.depth", ""),
    ],
)
def test_a_mistake_is_told_with_its_path(given, path, text):
    with pytest.raises(ConfigError) as told:
        queue_of(given)
    assert path in str(told.value)
    assert text in str(told.value)
    assert "secret@" not in str(told.value) or "redis://me" not in str(told.value)


def test_a_credential_of_redis_is_named_and_never_written():
    queue = queue_of(
        {"broker": {"kind": "redis", "url": "rediss://h:1/2", "credential": {"kind": "environment", "variable": "P"}}}
    )
    assert isinstance(queue.broker, RedisBroker)
    assert json.loads(queue.broker.model_dump_json())["credential"] == {"kind": "environment", "variable": "P"}
    with pytest.raises(ValidationError):
        RedisBroker(url="redis://:password@h:1")
