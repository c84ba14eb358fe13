"""The reports of windows that were looked at before, as the store has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import ValidationError

from heliostat.monitoring.looking import WindowReport
from heliostat.spec.monitoring import top
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def kept_reports(store: ObjectStore, name: str, most: int) -> Iterator[WindowReport]:
    """The last windows, the oldest first, `most` of them; one that cannot be read is passed over."""
    kept = sorted(store.list(f"{top(name)}windows/"), key=lambda each: _place(each.key)) if most else []
    for info in kept[-most:]:
        try:
            yield WindowReport.model_validate_json(store.get(info.key))
        except (ObjectMissingError, ValidationError):
            continue


def _place(key: str) -> list[int | str]:
    """What a window's key is ordered by: windows of so many rows are called by numbers of any length."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", key)]
