"""The platform `kubernetes`: any cluster that a kubeconfig names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from heliostat.spec.addresses import KubernetesCluster
from heliostat.spec.platforms.cluster import ClusterDatabase, ClusterServices, Database, SecretName
from heliostat.spec.platforms.stores import S3Store


class KubernetesPlatform(ClusterServices, KubernetesCluster):
    """Everything in one namespace of a Kubernetes cluster that exists."""

    kind: Literal["kubernetes"]
    store: S3Store
    """A bucket that is there."""
    store_secret: SecretName | None = None
    """A secret of the namespace whose entries are environment variables with the bucket's credentials, as `AWS_ACCESS_KEY_ID`
    and `AWS_SECRET_ACCESS_KEY`; by default the pods' service account has the right."""
    database: Database = Field(default_factory=lambda: ClusterDatabase(kind="cluster"))
    """MLflow's database."""
