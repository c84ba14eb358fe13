"""Where the workers of a training write: each to a place of its own, so that none waits for or overwrites another."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.spec.addresses import StoreAddress
from heliostat.systems.objects import ObjectMissingError, open_store


@dataclass(frozen=True)
class Places:
    """A folder a worker in the object store, below the training's."""

    store: StoreAddress
    prefix: str

    def keep(self, owner: str | int, name: str, content: bytes) -> None:
        """Write `name` into the place of `owner`, a worker's rank or what only one worker does."""
        open_store(self.store).put(self._key(owner, name), content)

    def kept(self, owner: str | int, name: str) -> bytes | None:
        """What was written there; None where nothing was."""
        try:
            return open_store(self.store).get(self._key(owner, name))
        except ObjectMissingError:
            return None

    def _key(self, owner: str | int, name: str) -> str:
        return f"{self.prefix}/{owner}/{name}"
