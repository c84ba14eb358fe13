"""The reports of windows that were looked at before, as the store has them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from heliostat.monitoring.looking import WindowReport
from heliostat.spec.monitoring import top, window_place
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def kept_reports(store: ObjectStore, name: str, most: int) -> Iterator[WindowReport]:
    """The last windows, the oldest first, `most` of them; one that cannot be read is passed over."""
    kept = sorted(store.list(f"{top(name)}windows/"), key=lambda each: window_place(each.key)) if most else []
    for info in kept[-most:]:
        try:
            yield WindowReport.model_validate_json(store.get(info.key))
        except (ObjectMissingError, ValidationError):
            continue
