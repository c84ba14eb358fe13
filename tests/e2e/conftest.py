"""One stack for all that is tried on this checkout's own: each start costs a minute of both cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stack import Checkout


@pytest.fixture(scope="package")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A copy of the checkout; nothing is up at first."""
    with Checkout(tmp_path_factory.mktemp("project")) as stack:
        yield stack
