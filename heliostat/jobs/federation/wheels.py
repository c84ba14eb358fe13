"""Packages of a federation's model, on their way from the object store to its sites."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from heliostat.spec.federated import DeliveredPackage, delivery_key, package_key
from heliostat.spec.publications import wheel_key
from heliostat.systems.objects import ObjectMissingError, ObjectStore


class StoredWheels:
    """The package that the sites of a federation are to have: the last that was delivered, or is being.

    Args:
        store: Where it lies.
        name: The federation's.
        folder: Where the wheel is put on this machine.
        on_delivery: Called with each site that has loaded it.
    """

    def __init__(
        self, store: ObjectStore, name: str, folder: Path, on_delivery: Callable[[str], None] = lambda _: None
    ) -> None:
        self._store, self._name, self._folder, self._on_delivery = store, name, folder, on_delivery
        self.package = self._read()

    def _read(self) -> DeliveredPackage | None:
        try:
            return DeliveredPackage.model_validate_json(self._store.get(package_key(self._name)))
        except (ObjectMissingError, ValidationError):
            return None

    def wheel(self) -> Path | None:
        """The wheel, on this machine; None where there is none, or not any more."""
        if self.package is None:
            return None
        path = self._folder / self.package.file
        if not path.is_file():
            try:
                self._store.get_file(wheel_key(self.package.distribution, self.package.file), path)
            except ObjectMissingError:
                return None
        return path

    async def delivered(self, site: str, digest: str) -> None:
        """Note that a site has loaded the package of a digest; of another one than is given out it says nothing."""
        if self.package is not None and digest == self.package.sha256:
            key, at = delivery_key(self._name, digest, site), json.dumps({"at": time.time()}).encode()
            await asyncio.to_thread(self._store.put, key, at)
            self._on_delivery(site)
