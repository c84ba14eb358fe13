"""What one look of a monitor takes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from typing import Any, Final

from bench.commands import MeasurementError, run
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session

_ROWS: Final = 1_000_000


def look(session: Session) -> Iterable[Result]:
    """A window of a million predictions with late labels: read, joined, and held against its reference."""
    found = _looked(session)
    yield BY_NAME["monitoring/look"].result(found["seconds"], cpu_seconds=found["cpuSeconds"], mib=found["mib"])


def _looked(session: Session) -> dict[str, Any]:
    folder = session.folder / "look"
    try:
        said = run([sys.executable, "-m", "bench.monitor_look_run", str(_ROWS), str(folder)], SOURCE, seconds=1_800).output
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    if not found["findings"] or found["unknown"]:
        raise MeasurementError(f"{found['unknown']} of {found['findings']} findings could not be told: nothing was measured")
    session.tell(f"{_ROWS:,} predictions: {found['seconds']:.1f} s, {found['mib']} MiB at most")
    return found
