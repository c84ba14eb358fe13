"""The platform on Google Cloud: what is made in a project, and what runs in every cluster."""

from __future__ import annotations

import pulumi

from heliostat.platforms.gcp.foundation import Foundation
from heliostat.platforms.kubernetes import KubernetesServices
from heliostat.resources import Platform, Token
from heliostat.spec.platforms.gcp import GcpPlatform as Spec


class GcpPlatform(pulumi.ComponentResource):
    """Everything in one region of a project of Google Cloud's."""

    platform: Platform

    def __init__(self, name: str, spec: Spec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:index:GcpPlatform", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        password = Token("database-password", opts=child)
        made = Foundation("google-cloud", spec, password.value, child)
        services = KubernetesServices("services", made.services_spec, made.underlay, made.pools, child)
        self.platform = services.platform
        self.register_outputs({"publicUrl": self.platform.public_url, "images": made.images})
