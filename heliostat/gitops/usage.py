"""How many requests the applications on a platform were asked, by its controller; another count than before is a use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliostat.engine.errors import EngineError
from heliostat.gitops.expiry import with_use
from heliostat.gitops.records import EnvironmentRecord, Records
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.platforms.exported import platform_in
from heliostat.systems.errors import PermanentError, RetryableError

_COUNTER = "heliostat_requests_total"


@dataclass(frozen=True)
class Uses:
    """Notes which environments were asked something."""

    records: Records
    outputs: Callable[[str], Mapping[str, Any]]
    """What a stack exports."""
    count_requests: Callable[[ControllerAddress], Mapping[str, float]]
    clock: Callable[[], float]
    say: Callable[[str], None]

    def note(self, records: Sequence[EnvironmentRecord]) -> list[tuple[str, bool]]:
        """Note the use of each; their names, and whether anybody could tell."""
        counters = {platform: self._counters(platform) for platform in {record.platform for record in records}}
        looked = []
        for record in records:
            ours = set(record.applications)
            told = counters[record.platform]
            counts = {name: count for name, count in (told or {}).items() if name in ours}
            # A controller that does not answer takes its time: what was noted meanwhile is not to be overwritten.
            found = self.records.find(record.name)
            if found is not None and (after := with_use(found, counts, self.clock())) != found:
                self.records.write(after)
            looked.append((record.name, told is not None))
        return looked

    def _counters(self, stack: str) -> Mapping[str, float] | None:
        """The counters of a platform's applications; none of one that is not there, None where it does not answer."""
        try:
            controller = platform_in(self.outputs(stack)).get("controller")
            return self.count_requests(ControllerAddress.model_validate(controller)) if controller else {}
        except (RetryableError, PermanentError, EngineError) as error:
            self.say(f"warning: nobody knows which environments on {stack} were asked, and none of them expires: {error}")
            return None


def requests_on(controller: ControllerAddress) -> dict[str, float]:
    """The counters of all applications, by name. Raises RetryableError where the controller does not answer."""

    from heliostat.systems.controller_api import ControllerClient

    async def ask() -> str:
        async with ControllerClient(controller) as client:
            return await client.metrics()

    return counts_in(asyncio.run(ask()))


def counts_in(text: str) -> dict[str, float]:
    """The sum over all ways of each application's requests, of metrics in Prometheus' format."""
    from prometheus_client.parser import text_string_to_metric_families

    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _COUNTER and "application" in sample.labels:
                name = sample.labels["application"]
                counts[name] = counts.get(name, 0.0) + sample.value
    return counts
