"""What tests of several folders need, and which of them run beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from heliostat.spec.addresses import StoreAddress
from heliostat.systems import store_lifecycle
from tests import google_storage
from tests.faults import options as fault_options

BY_HAND = frozenset({"long", "faults", "forge", "kubernetes"})
"""Marks of what takes many minutes or hours; an option of the same name runs it, and nothing else."""
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")  # how fast a machine is that does other things too says nothing about the code
_BESIDE_CLUSTERS = 5
"""The priority (nice) of what runs beside a cluster that serves under load."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps what shares fixtures on one worker: the tests of a file, and all that have a cluster serve under load.

    xdist has the same as `--dist loadgroup` with marks, which this pytest's node ids no longer carry to it.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "cluster" if _has_a_cluster(file) else file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take many minutes, and only those")
    parser.addoption("--kubernetes", action="store_true", help="run the tests on a real Kubernetes, and only those")
    parser.addoption("--forge", action="store_true", help="run the tests on a real forge, and only those")
    fault_options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    fault_options.configure(config)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What has a cluster comes first: it takes longest. What takes long is for runs by hand."""
    asked = {mark for mark in BY_HAND if config.getoption(f"--{mark}")}
    others = [item for item in items if not _is_asked_for(item, asked)]
    config.hook.pytest_deselected(items=others)
    left = set(others)
    items[:] = [item for item in items if item not in left]
    items.sort(key=lambda item: not _has_a_cluster(item.nodeid.partition("::")[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """One worker more than there are cores works while clusters are waited for; it does not take what their clients need."""
    beside = "PYTEST_XDIST_WORKER" in os.environ and not _has_a_cluster(item.nodeid.partition("::")[0])
    if beside and os.getpriority(os.PRIO_PROCESS, 0) < _BESIDE_CLUSTERS:
        os.setpriority(os.PRIO_PROCESS, 0, _BESIDE_CLUSTERS)


def pytest_make_parametrize_id(config: pytest.Config, val: object) -> str | None:
    """Bytes are named by how many they are: what they hold may differ between workers, as gzip's time does."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def _is_asked_for(item: pytest.Item, asked: Set[str]) -> bool:
    marks = {mark for mark in BY_HAND if item.get_closest_marker(mark) is not None}
    return bool(marks & asked) if asked else not marks


@cache
def _has_a_cluster(file: str) -> bool:
    return "pytest.mark.cluster" in (Path(__file__).parents[1] / file).read_text()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 of moto's, over HTTP."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def google_cloud() -> Iterator[tuple[str, google_storage.Cloud]]:
    """The URL of a Google Cloud Storage in memory, and what is in it."""
    with google_storage.serving() as found:
        yield found


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


@pytest.fixture
def gs_address(google_cloud: tuple[str, google_storage.Cloud]) -> StoreAddress:
    """The same in Google's."""
    address = StoreAddress(uri=f"gs://bucket-{os.urandom(4).hex()}/some/prefix", endpoint=google_cloud[0])
    store_lifecycle.ensure(address)
    return address
