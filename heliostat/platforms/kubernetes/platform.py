"""Any cluster that a kubeconfig names, with a bucket that is there."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from heliostat.platforms.kubernetes.services import KubernetesServices
from heliostat.platforms.stores import address_of
from heliostat.platforms.underlay import Underlay
from heliostat.resources import ExistingCluster
from heliostat.resources.base import wire
from heliostat.spec.addresses import KubernetesCluster
from heliostat.spec.platforms.kubernetes import KubernetesPlatform as Spec
from heliostat.spec.platforms.requirements import requirements_of


class KubernetesPlatform(pulumi.ComponentResource):
    """What a stack makes in somebody's cluster.

    Args:
        name: The component's name.
        spec: What the config says.
        opts: Pulumi's resource options.
    """

    def __init__(self, name: str, spec: Spec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:index:KubernetesPlatform", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        looked_at = ExistingCluster("cluster", requirements_of(spec), child)
        provider = kubernetes.Provider(
            "cluster",
            context=spec.context,
            kubeconfig=spec.kubeconfig and str(Path(spec.kubeconfig).expanduser()),
            enable_server_side_apply=True,
            # A cluster that does not answer is no reason to forget what is in it.
            delete_unreachable=False,
            opts=child,
        )
        store = address_of(spec.store, Path())
        environment = {"AWS_ENDPOINT_URL_S3": store.endpoint, "AWS_DEFAULT_REGION": store.region}
        under = Underlay(
            provider=provider,
            cluster=wire(KubernetesCluster(context=spec.context, kubeconfig=spec.kubeconfig)),
            store=wire(store),
            environment={name: value for name, value in environment.items() if value},
            store_secret=spec.store_secret,
            ready=(looked_at,),
        )
        services = KubernetesServices("services", spec, under, dict.fromkeys(spec.groups), child)
        self.platform = services.platform
        self.register_outputs({"publicUrl": self.platform.public_url})
