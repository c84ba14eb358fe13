"""What a declared platform asks of the cluster that it names. Pure."""

from __future__ import annotations

from heliostat.spec.cluster_requirements import ClusterRequirements
from heliostat.spec.platforms.cluster import ExistingDatabase
from heliostat.spec.platforms.kubernetes import KubernetesPlatform


def requirements_of(platform: KubernetesPlatform) -> ClusterRequirements:
    """What a declared platform needs."""
    secrets: dict[str, tuple[str, ...]] = {}
    if platform.store_secret:
        secrets[platform.store_secret] = ()
    if isinstance(platform.database, ExistingDatabase):
        secrets[platform.database.secret] = ("uri",)
    if platform.redis.address and platform.redis.password_secret:
        secrets[platform.redis.password_secret] = ("password",)
    return ClusterRequirements(
        context=platform.context,
        kubeconfig=platform.kubeconfig,
        namespace=platform.namespace,
        creates_namespace=platform.create_namespace,
        installs_operator=platform.operator.install,
        operator_version=platform.operator.version,
        monitors=platform.monitoring.service_monitors,
        storage_class=platform.storage_class,
        secrets=secrets,
    )
