"""How many requests the applications on a platform were asked, by its controller."""

from __future__ import annotations

import asyncio

from heliostat.spec.addresses import ControllerAddress

_COUNTER = "heliostat_requests_total"


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
