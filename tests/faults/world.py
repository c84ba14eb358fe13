"""What is hurt: a real cluster of a head and two workers, the real controller with its HAProxy, and a small application.

It is started by the same code as the resources of a stack are. Two things differ from a stack's: the head runs no
replicas, so that a dead worker node is not the head; and a stopping replica waits for a second, not for six.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from bench.api import Api
from bench.commands import MeasurementError
from bench.session import sweep
from bench.tiny import CODE, CONTRACT
from bench.workspace import until
from heliostat.provider.declaring import desired_of
from heliostat.spec.addresses import ControllerAddress, StoreAddress, TokenFile
from heliostat.spec.code import code_of
from heliostat.spec.controller import SERVICE, SETTINGS_FILE, TOKEN_FILE, TRAFFIC_SERVICE, ControllerSettings
from heliostat.spec.platform_resources import ControllerInputs, RayClusterInputs
from heliostat.spec.platforms.local import RayNode, RayWorkers
from heliostat.spec.rollouts import Desired
from heliostat.spec.serving_resources import ApplicationInputs
from heliostat.spec.strategies import BlueGreen, Strategy
from heliostat.spec.workload import PredictionLog
from heliostat.systems import code_packages, library_packages, ports, processes
from heliostat.systems.objects import open_store
from heliostat.systems.ray_nodes import LocalCluster
from tests.faults.table import REPLICAS

APPLICATION = "tiny"
NO_REGISTRY = "http://127.0.0.1:1"
_DRAIN_S = 1
_CPUS = 4
_START_S = 120.0


@dataclass(frozen=True)
class Cluster(LocalCluster):
    """As a stack's, but for how long a stopping replica waits."""

    @override
    def _environment(self, inputs: RayClusterInputs) -> Mapping[str, str]:
        return {**super()._environment(inputs), "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(_DRAIN_S)}


class World:
    """All of it, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster(folder / "ray")
        self.directory = folder / "controller"
        self.store = StoreAddress(uri=(folder / "objects").as_uri())
        self._ray = RayClusterInputs(
            directory=str(self.cluster.directory), head=RayNode(cpus=0), workers=RayWorkers(count=2, cpus=_CPUS)
        )
        self.settings: ControllerSettings
        self.api: Api
        self._number = 0

    @property
    def url(self) -> str:
        """Where clients ask."""
        return f"{self.settings.public_url}/{APPLICATION}/predict"

    @property
    def address(self) -> ControllerAddress:
        """Where the controller is."""
        url = f"http://127.0.0.1:{self.settings.api_port}"
        return ControllerAddress(url=url, credential=TokenFile(path=str(self.directory / TOKEN_FILE)))

    def start(self) -> None:
        """Bring all of it up, with a first version that serves.

        Raises:
            MeasurementError: it did not come up.
        """
        self.bring_nodes()
        self._settle()
        self.start_controller()
        self.api = Api(self.address)
        try:
            self.ship(BlueGreen(retention_seconds=0))
        except MeasurementError as error:
            raise MeasurementError(f"{error}\n{self.log()}") from error

    def close(self) -> None:
        """End all of it and remove its files."""
        if "api" in self.__dict__:
            self.api.close()
        sweep(self.folder)
        for folder in (self.directory, self.cluster.directory):
            ports.release(folder)
            shutil.rmtree(processes.runtime_directory(folder), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def bring_nodes(self) -> None:
        """What an `up` does for the cluster where anything of it is missing."""
        if self.cluster.head_runs and len(self.cluster.workers()) == self._ray.workers.count:
            return
        asyncio.run(self.cluster.start(self._ray, lambda _: None))

    def start_controller(self) -> None:
        """What an `up` does for the controller; returns when it and HAProxy answer."""
        argv = (sys.executable, "-m", "heliostat.controller", "--directory", str(self.directory))
        processes.start(processes.Service(self.directory, SERVICE, argv))
        api = Api(self.address)
        try:
            until(lambda: self._answers(api), "the controller and HAProxy answer", _START_S, every=0.05)
        finally:
            api.close()

    def ship(self, strategy: Strategy) -> None:
        """Put the next version into place, without a fault."""
        desired = self.desired(self.inputs(strategy))
        label = desired.version.label
        self.api.declare(APPLICATION, desired)
        self.api.until(
            APPLICATION,
            lambda status: status.rollout is not None and status.rollout.to_version == label and bool(status.rollout.ended_at),
            f"{label} is in its place",
            _START_S,
        )
        status = self.api.status(APPLICATION)
        if status.serving is None or status.serving.label != label:
            error = status.rollout.error if status.rollout else None
            raise MeasurementError(f"{label} does not serve: {error}")

    def desired(self, inputs: ApplicationInputs) -> Desired:
        """What an `up` of a program with `inputs` would ask the controller for."""
        store = open_store(self.store)
        return desired_of(inputs, code_packages.upload(inputs.code, store), library_packages.upload(store))

    def inputs(self, strategy: Strategy) -> ApplicationInputs:
        """What a program would declare for the next version."""
        self._number += 1
        return ApplicationInputs(
            name=APPLICATION,
            code=code_of(CODE, CONTRACT),
            contract=CONTRACT,
            model_uri=f"models:/{APPLICATION}/{self._number}",
            replicas=REPLICAS,
            cpus_per_replica=0.1,
            startup_timeout_seconds=90,
            strategy=strategy,
            prediction_log=PredictionLog(),
            store=self.store,
            tracking_uri=NO_REGISTRY,
            controller=self.address,
        )

    def log(self, lines: int = 25) -> str:
        """The end of the controller's log."""
        return processes.log_tail(self.directory, SERVICE, lines)

    def _answers(self, api: Api) -> bool:
        if processes.find(self.directory, SERVICE) is None:
            raise MeasurementError(f"the controller ended while it started:\n{self.log()}")
        health = api.health()
        return health is not None and health.haproxy and processes.find(self.directory, TRAFFIC_SERVICE) is not None

    def _settle(self) -> None:
        """The controller's settings, as its resource writes them."""
        inputs = ControllerInputs(
            directory=str(self.directory), ray=self.cluster.address, store=self.store, tracking_uri=NO_REGISTRY
        )
        self.settings = ControllerSettings(
            inputs=inputs,
            api_port=ports.claim(self.directory, "api"),
            public_port=ports.claim(self.directory, "public"),
            serve_port=ports.claim(self.directory, "serve"),
            runtime_directory=str(processes.runtime_directory(self.directory)),
        )
        processes.write_private(self.directory / SETTINGS_FILE, self.settings.model_dump_json(by_alias=True))
        processes.write_private(self.directory / TOKEN_FILE, f"{time.time_ns():x}")


def settings_of(world: World) -> Mapping[str, Any]:
    """What a program needs to declare the same application in the same place."""
    return {
        "store": world.store.model_dump(mode="json", by_alias=True, exclude_none=True),
        "controller": world.address.model_dump(mode="json", by_alias=True),
        "trackingUri": NO_REGISTRY,
    }
