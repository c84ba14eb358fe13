"""What a Redis says of itself, and what nobody is told of how it is reached."""

from __future__ import annotations

import pytest
from queue_fakes import submit
from redis_servers import RedisServer

from heliostat.spec.addresses import BasicVariables, TokenVariable
from heliostat.spec.task_queue import RedisBroker
from heliostat.systems.brokers.base import BrokerAwayError, QueueFullError, Retention

KEEP = Retention(600, 600)


@pytest.fixture
def redis_of(tmp_path):
    """Brokers of a Redis with such options."""
    pytest.importorskip("redis", reason="the extra `queue` is not installed")
    from heliostat.systems.brokers.redis import Redis

    servers = []

    def make(*options, credential=None):
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        servers.append(RedisServer(folder, *options))
        return Redis(RedisBroker(url=servers[-1].address.url, credential=credential), "app", KEEP)

    yield make
    for server in servers:
        server.kill()


def test_one_that_keeps_nothing_or_throws_away_is_told(redis_of):
    assert "set appendonly yes" in redis_of("--appendonly", "no").volatile()
    assert "set maxmemory-policy noeviction" in redis_of("--maxmemory-policy", "allkeys-lru").volatile()


def test_one_without_memory_is_a_queue_that_is_full_and_keeps_what_it_has(redis_of):
    broker = redis_of("--maxmemory", "3mb")
    taken = 0
    with pytest.raises(QueueFullError, match="no memory left"):
        for n in range(1000):
            submit(broker, f"t{n}", b"x" * 50_000)
            taken = n + 1
    assert taken
    assert broker.depth().waiting == taken


def test_a_password_is_read_where_it_is_named_and_shown_nowhere(redis_of, monkeypatch):
    monkeypatch.setenv("QUEUE_PASSWORD", "hush-hush")
    broker = redis_of("--requirepass", "hush-hush", credential=TokenVariable(variable="QUEUE_PASSWORD"))
    submit(broker, "one", b"1")
    assert broker.depth().waiting == 1
    monkeypatch.setenv("QUEUE_USER", "default")
    named = BasicVariables(username_variable="QUEUE_USER", password_variable="QUEUE_PASSWORD")
    assert redis_of("--requirepass", "hush-hush", credential=named).depth().waiting == 0
    for wrong in ("other-secret", ""):
        monkeypatch.setenv("QUEUE_PASSWORD", wrong)
        with pytest.raises(BrokerAwayError) as told:
            redis_of("--requirepass", "hush-hush", credential=TokenVariable(variable="QUEUE_PASSWORD")).depth()
        assert "hush" not in str(told.value)
        assert "other-secret" not in str(told.value)


def test_one_that_is_not_there_is_told_by_its_host_alone():
    pytest.importorskip("redis", reason="the extra `queue` is not installed")
    from heliostat.systems.brokers.redis import Redis

    with pytest.raises(BrokerAwayError, match=r"Redis at 127\.0\.0\.1:1 does not answer"):
        Redis(RedisBroker(url="redis://127.0.0.1:1/0"), "app", KEEP).depth()
