"""Offers a wheel to a federation's sites until each has it, or the time is over. Run by the provider's ModelDelivery."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from heliostat.federated.messages import Reason, Step, Task, pack
from heliostat.jobs.federation.refusals import RefusedError
from heliostat.jobs.federation.server import Api, listening
from heliostat.jobs.federation.wheels import StoredWheels
from heliostat.jobs.specification import progress, run
from heliostat.spec.federated import DeliveredPackage, delivery_key, package_key
from heliostat.spec.jobs import DeliverSpecification
from heliostat.systems.objects import open_store

_POLL_SECONDS: Final = 20.0


class Offer:
    """What sites are told where there is nothing but a package."""

    most_bytes = 1 << 16

    def __init__(self, package: DeliveredPackage) -> None:
        self._package, self._closed = package, asyncio.Event()

    async def task(self, site: str, version: str) -> bytes:
        """The package; where a site knows of it, after a while."""
        if version == self._package.sha256:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), _POLL_SECONDS)
        return pack(Task(version=self._package.sha256, text="no training is on", package=self._package))

    async def accept(self, site: str, round_: int, attempt: int, step: Step, body: bytes) -> None:
        """Take nothing."""
        raise RefusedError(409, ("round", "no training is on"))

    async def abstain(self, site: str, round_: int, attempt: int, reason: Reason) -> None:
        """Note nothing."""

    async def close(self) -> None:
        """Answer those that wait."""
        self._closed.set()


def deliver(specification: DeliverSpecification) -> None:
    """Offer the wheel, and say who has it."""
    store, package = open_store(specification.store), specification.package
    store.put(package_key(specification.name), package.model_dump_json(by_alias=True).encode())
    there = {site for site in specification.sites if store.exists(delivery_key(specification.name, package.sha256, site))}
    missing = set(specification.sites) - there
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(_offered(specification, missing, Path(temporary)))


async def _offered(specification: DeliverSpecification, missing: set[str], folder: Path) -> None:
    everybody = asyncio.Event()

    def noted(site: str) -> None:
        missing.discard(site)
        left = f", waiting for {', '.join(sorted(missing))}" if missing else ""
        progress(f"{site} has {specification.package.file}{left}")
        if not missing:
            everybody.set()

    if not missing:
        return
    wheels = StoredWheels(open_store(specification.store), specification.name, folder, noted)
    api = Api(Offer(specification.package), specification.sites, wheels)
    async with listening(api, specification.coordinator):
        progress(f"offering {specification.package.file} to {', '.join(sorted(missing))}")
        try:
            async with asyncio.timeout(specification.delivery_seconds):
                await everybody.wait()
        except TimeoutError:
            progress(f"{', '.join(sorted(missing))} did not ask for {specification.package.file}")


if __name__ == "__main__":
    run(DeliverSpecification, deliver)
