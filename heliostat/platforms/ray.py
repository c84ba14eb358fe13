"""A platform on a Ray cluster that exists, with its MLflow and its object store: the controller is all that is made."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.platforms.stores import address_of
from heliostat.resources import Controller, Platform
from heliostat.resources.base import wire
from heliostat.resources.controller import ControllerArgs
from heliostat.spec.platforms.ray import RayPlatform as Spec


class RayPlatform(pulumi.ComponentResource):
    """The controller of somebody's cluster, with its data below `directory` of the machine that runs the program."""

    def __init__(self, name: str, spec: Spec, directory: Path, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:index:RayPlatform", name, {}, opts)
        store, ray = wire(address_of(spec.store, directory)), wire(spec.ray)
        access = wire(spec.tracking.access)
        args = ControllerArgs(
            directory=directory / "controller",
            ray=ray,
            store=store,
            tracking_uri=spec.tracking.uri,
            tracking_access=access,
            host=spec.controller.host,
            api_port=spec.controller.api_port,
            credential=spec.controller.credential,
            public_port=spec.public_port,
        )
        controller = Controller("controller", args, pulumi.ResourceOptions(parent=self))
        self.platform = Platform(
            store=store,
            ray=ray,
            tracking_uri=spec.tracking.uri,
            controller=controller.address,
            public_url=controller.public_url,
            tracking_access=access,
        )
        self.register_outputs({"publicUrl": self.platform.public_url})
