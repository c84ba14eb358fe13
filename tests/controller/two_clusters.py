"""A controller of two clusters in memory: an old one, and a new one that it is told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fake_cluster import FakeCluster, FakeServe

from heliostat.controller.backends.clusters import Clusters
from heliostat.controller.backends.ray_serve import RayServe
from heliostat.controller.backends.serving import ServingBackend
from heliostat.controller.moving import known_clusters
from heliostat.controller.store import Store
from heliostat.spec.addresses import RayAddress
from heliostat.spec.controller import ControllerSettings

OLD, NEW = "http://old:8265", "http://new:8265"


class TwoClusters(FakeCluster):
    """Which one is worked on is told by `work_on`; a controller is started anew by that, as by another file of settings."""

    ray_url = OLD

    def __init__(self, directory: Path) -> None:
        self.serves = {OLD: FakeServe(), NEW: FakeServe(40_000)}
        self.before: RayAddress | None = None
        super().__init__(directory)

    def backend(self, store: Store, settings: ControllerSettings) -> ServingBackend:
        def open_cluster(address: RayAddress) -> RayServe:
            return RayServe(self.serves[address.url], settings)  # type: ignore[arg-type]

        def keep(clusters: tuple[RayAddress, ...]) -> bool:
            return store.faults.attempt(lambda: store.save_clusters(clusters))

        settings = settings.model_copy(update={"before": self.before})
        return Clusters(known_clusters(store, settings), open_cluster, keep)

    def config_at(self, port: int) -> dict[str, Any]:
        return self.serves[OLD if port < 40_000 else NEW].config_at(port)

    def work_on(self, url: str) -> None:
        self.ray_url = url
        self.start()

    def apps(self) -> dict[str, set[str]]:
        """What runs, by cluster."""
        return {url: set(serve.apps) for url, serve in self.serves.items()}
