"""The platform `aws` as a stack declares it."""

from __future__ import annotations

import pulumi

from heliostat.platforms.aws.names import Names
from heliostat.platforms.aws.underlay import AwsUnderlay
from heliostat.platforms.kubernetes import KubernetesServices
from heliostat.platforms.room import too_little
from heliostat.resources import Token
from heliostat.spec.machines import pool_of
from heliostat.spec.platforms.aws import AwsPlatform as Spec


class AwsPlatform(pulumi.ComponentResource):
    """Everything on AWS that the workloads of a stack need."""

    def __init__(self, name: str, spec: Spec, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare it.

        Raises:
            pulumi.RunError: AWS would not take a name that follows from the stack's, where the config says none; or the
                system's nodes are too small or too few.
        """
        super().__init__("heliostat:index:AwsPlatform", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        try:
            base = spec.name or f"{pulumi.get_project()}-{pulumi.get_stack()}"
            names = Names.of(base, spec.region, spec.account)
        except ValueError as error:
            raise pulumi.RunError(str(error)) from None
        if crowded := too_little("aws", spec.eks.system_machine, spec.eks.system_nodes, spec):
            raise pulumi.RunError("; ".join(crowded))
        zones = spec.network.zones
        pools = {group: pool_of("aws", each, spec.region, zones) for group, each in spec.groups.items()}
        password = Token("database-password", opts=child)
        underlay = AwsUnderlay("underlay", spec, names, pools, password.value, child)
        self.platform = KubernetesServices("services", spec, underlay.under, pools, child).platform
        self.register_outputs({"publicUrl": self.platform.public_url, "images": underlay.registry.url})
