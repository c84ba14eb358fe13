"""What monitors found, for Prometheus: their states as they lie in the object store, read again when they changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from pydantic import ValidationError

from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.findings import Severity, State
from heliostat.spec.monitoring import schedule_name, states
from heliostat.spec.predictions import SCHEDULES, Scheduled
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, ObjectStore
from heliostat.systems.revisions import Revisions

_log = logging.getLogger(__name__)
_SECONDS: Final = 15.0
"""How old what is told may be: a store is not listed at every scrape."""
_MOST_SUBJECTS: Final = 200
"""Series of one application's values; slices have none."""


class MonitorStates:
    """The newest state of each monitor that is declared."""

    def __init__(self, store: Callable[[], ObjectStore], now: Callable[[], float] = time.monotonic) -> None:
        self.states: Mapping[str, MonitorState] = {}
        self.schedules: Mapping[str, Scheduled] = {}
        self._open, self._now = store, now
        self._read_at = float("-inf")
        self._revisions: dict[str, tuple[int, MonitorState]] = {}
        self._busy = asyncio.Lock()

    async def refresh(self) -> None:
        """Look for what changed; a store that does not answer leaves what was known."""
        if self._now() - self._read_at < _SECONDS or self._busy.locked():
            return
        async with self._busy:
            try:
                self.states, self.schedules = await asyncio.to_thread(self._read)
            except (RetryableError, PermanentError, ValueError) as error:
                _log.warning("what monitors found cannot be read: %s", error)
            self._read_at = self._now()

    def _read(self) -> tuple[dict[str, MonitorState], dict[str, Scheduled]]:
        store, prefix = self._open(), f"{SCHEDULES}{schedule_name('')}"
        found, schedules = {}, {}
        for info in store.list(prefix):
            name = info.key.removeprefix(prefix).removesuffix(".json")
            revisions = Revisions(store, states(name))
            number, known = revisions.number(), self._revisions.get(name)
            if known is None or known[0] != number:
                number, content = revisions.newest()
                self._revisions[name] = known = (number, state_of(content))
            found[name] = known[1]
            try:
                schedules[name] = Scheduled.model_validate_json(store.get(info.key))
            except (ObjectMissingError, ValidationError):  # it went meanwhile, or is of another release
                continue
        return found, schedules

    def families(self) -> Iterator[Metric]:
        """One scrape."""
        findings = GaugeMetricFamily(
            "heliostat_monitor_findings", "Newest findings by how they end", labels=["application", "aspect", "state"]
        )
        values = GaugeMetricFamily(
            "heliostat_monitor_value", "What was found of a metric, a column or an age",
            labels=["application", "aspect", "subject"],
        )  # fmt: skip
        limits = GaugeMetricFamily(
            "heliostat_monitor_limit", "The limit that the value is held against", labels=["application", "aspect", "subject"]
        )
        alarms = GaugeMetricFamily("heliostat_monitor_alarms", "Open alarms", labels=["application", "severity"])
        looked = GaugeMetricFamily(
            "heliostat_monitor_looked_timestamp_seconds", "When it was looked last, Unix time", labels=["application"]
        )
        coming = GaugeMetricFamily(
            "heliostat_monitor_next_look_timestamp_seconds",
            "When the first look is due that there was none of since, by its schedule, Unix time", labels=["application"],
        )  # fmt: skip
        waiting = GaugeMetricFamily(
            "heliostat_monitor_undelivered", "Notifications that a sink did not take yet, or never", labels=["application"]
        )
        for name, state in sorted(self.states.items()):
            _findings(name, state, findings, values, limits)
            counted = Counter(alarm.severity for alarm in state.open_alarms)
            for severity in Severity:
                alarms.add_metric([name, severity.value], counted[severity])
            if state.looked_at is not None:
                looked.add_metric([name], state.looked_at.timestamp())
            if (scheduled := self.schedules.get(name)) is not None and (
                at := next_look(scheduled, state.looked_at)
            ) is not None:
                coming.add_metric([name], at.timestamp())
            late = [each for each in state.outbox.waiting if each.attempts]
            waiting.add_metric([name], len(late) + len(state.outbox.lost))
        yield from (findings, values, limits, alarms, looked, coming, waiting)


def next_look(scheduled: Scheduled, looked_at: datetime | None) -> datetime | None:
    """The first look that is due after the last one, or after it was put on schedule; None where none ever is."""
    from cronsim import CronSim

    since = datetime.fromtimestamp(scheduled.since, UTC)
    return next(CronSim(scheduled.schedule, since if looked_at is None else max(since, looked_at.astimezone(UTC))), None)


def _findings(
    name: str, state: MonitorState, findings: GaugeMetricFamily, values: GaugeMetricFamily, limits: GaugeMetricFamily
) -> None:
    counted = Counter((each.aspect.value, each.state) for each in state.findings.values())
    for aspect in sorted({aspect for aspect, _ in counted}):
        for end in State:
            findings.add_metric([name, aspect, end.value], counted[aspect, end])
    told = sorted((key, each) for key, each in state.findings.items() if "[" not in each.subject and each.value is not None)
    for _, each in told[:_MOST_SUBJECTS]:
        labels = [name, each.aspect.value, each.subject]
        values.add_metric(labels, each.value or 0.0)
        if each.limit is not None:
            limits.add_metric(labels, each.limit)
