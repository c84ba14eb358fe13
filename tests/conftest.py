"""What tests of several folders need, and which of them run beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from heliostat.spec.resources import StoreAddress
from heliostat.systems import store_lifecycle


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares fixtures on one worker: the tests of a file, and all that start a stack's processes.

    Those come first, and one after another: each wants the machine for itself, and together they take longest.
    """
    for item in items:
        group = "local_stack" if item.get_closest_marker("local_stack") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("local_stack") is None)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 of moto's, over HTTP."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")


@pytest.fixture
def s3_address(s3_endpoint: str, s3_credentials: None) -> StoreAddress:
    """A place in a bucket that nobody else has."""
    address = StoreAddress(uri=f"s3://bucket-{os.urandom(4).hex()}/some/prefix", endpoint=s3_endpoint)
    store_lifecycle.ensure(address)
    return address
