"""The local platform: everything as processes of this machine, on loopback."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.platforms.stores import address_of
from heliostat.resources import Controller, ObjectStore, Platform, RayCluster, TrackingServer
from heliostat.resources.controller import ControllerArgs
from heliostat.spec.platforms.local import LocalPlatform as Spec


class LocalPlatform(pulumi.ComponentResource):
    """Object store, MLflow, Ray cluster and controller of one stack, with their data below `directory`."""

    def __init__(self, name: str, spec: Spec, directory: Path, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:index:LocalPlatform", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        store = ObjectStore("objects", address_of(spec.store, directory), spec.on_destroy, child)
        tracking = TrackingServer("mlflow", spec.tracking, directory / "mlflow", store.address, spec.on_destroy, child)
        ray = RayCluster("ray", spec.ray, directory / "ray", spec.store, child)
        args = ControllerArgs(
            directory=directory / "controller",
            ray=ray.address,
            store=store.address,
            tracking_uri=tracking.tracking_uri,
            public_port=spec.public_port,
            keeps=(directory / "mlflow",),
        )
        controller = Controller("controller", args, child)
        self.platform = Platform(
            store=store.address,
            ray=ray.address,
            tracking_uri=tracking.tracking_uri,
            controller=controller.address,
            public_url=controller.public_url,
            ray_session=ray.session,
        )
        self.register_outputs({"publicUrl": self.platform.public_url})
