"""Where the table of faults is not asked for, its cells are not even collected; where it is, they share a sitting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import Timeout

from tests.faults.options import PLUGIN

if TYPE_CHECKING:
    from tests.faults.plugin import TablePlugin
    from tests.faults.sitting import Sitting


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name == "test_faults.py" and not config.getoption("--faults") else None


@pytest.fixture(scope="session")
def sitting(pytestconfig: pytest.Config) -> Iterator[Sitting]:
    """The only one of this checkout."""
    table: TablePlugin | None = pytestconfig.pluginmanager.get_plugin(PLUGIN)
    assert table is not None
    try:
        with table.sitting.opened():
            yield table.sitting
    except Timeout as taken:
        text = f"another table of this checkout is being filled (it holds {taken.lock_file})"
        pytest.exit(text, returncode=pytest.ExitCode.TESTS_FAILED)
