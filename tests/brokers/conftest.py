"""Servers of brokers, one a session."""

from __future__ import annotations

import os
import shutil

import pytest
from redis_servers import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    pytest.importorskip("redis", reason="the extra `queue` is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def sqs_endpoint():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def own_redis(tmp_path):
    """One that a test may kill."""
    pytest.importorskip("redis", reason="the extra `queue` is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.kill()
