"""Which environments go, and why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from heliostat.gitops.records import EnvironmentRecord
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.spec.formatting import duration


def why_it_goes(
    record: EnvironmentRecord,
    settings: EnvironmentSettings,
    branches: Collection[str] | None,
    now: float,
    *,
    is_use_known: bool = True,
) -> str | None:
    """Why an environment is to be taken down; None where it stays.

    `branches` are the remote's; None where nobody knows them. Where it is not known whether anybody asked its applications, it
    does not expire. A branch that is protected keeps its environment, whatever else is so.
    """
    if settings.protects(record.branch, record.name):
        return None
    if record.leaving:
        return "it was being taken down before"
    if branches is not None and record.branch not in branches:
        return f"its branch {record.branch} is gone"
    if is_use_known and now >= record.expires:
        return f"nobody used it for {duration(now - record.used)}"
    return None


def with_use(record: EnvironmentRecord, requests: Mapping[str, float], now: float) -> EnvironmentRecord:
    """The record after a look at the counters of its applications: another count than at the last look is a use.

    A counter that begins anew, because the traffic plane did, is another count as well unless it is still 0.
    """
    used = any(count not in (record.requests.get(name, 0.0), 0.0) for name, count in requests.items())
    changes = {"requests": {**record.requests, **requests}, **({"used": now} if used else {})}
    return record.model_copy(update=changes)
