"""What the services in a Kubernetes cluster stand on: made by a cloud's platform, or named by the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from heliostat.resources.base import Address


@dataclass(frozen=True)
class Underlay:
    """A cluster with a bucket and, where a cloud brings them, a database and an identity."""

    provider: pulumi.ProviderResource
    """Pulumi's provider of the cluster."""
    cluster: pulumi.Input[Address]
    """How the cluster is found by whoever opens the addresses in it, on any machine: a `ClusterAddress`."""
    store: pulumi.Input[Address]
    """The bucket's `StoreAddress`."""
    database_uri: pulumi.Input[str] | None = None
    """`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, a secret; None where the config names the database."""
    service_account_annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """What gives the pods' service account its right to the bucket, where that is said by annotations."""
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Variables of every pod, none of them secret: a region, an endpoint."""
    load_balancer_annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the traffic plane's service, where it is a load balancer."""
    api_server_cidrs: Sequence[pulumi.Input[str]] = ()
    """Where the API server's calls to pods come from, beside those that the config names."""
    api_server_host: pulumi.Input[str] | None = None
    """By which host, with a port that is not 443, the API server is called; None where that differs by kubeconfig."""
    store_secret: str | None = None
    """A secret of the namespace whose entries are variables with the bucket's credentials; None where an identity has it."""
    system_nodes: int | None = None
    """How many nodes there are for all but Ray's workers; None in a cluster whose nodes are not ours."""
    ready: tuple[pulumi.Resource, ...] = ()
    """What has to be there before anything is made in the cluster: add-ons, node pools."""
