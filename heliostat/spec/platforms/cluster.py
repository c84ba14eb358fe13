"""What a platform inside of a Kubernetes cluster is made of, whoever made the cluster."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from heliostat.spec.accelerators import Groups
from heliostat.spec.addresses import HttpUrl, Namespace
from heliostat.spec.base import Model
from heliostat.spec.groups import NODE_TIMEOUT_SECONDS

SecretName = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Cidr = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$")]
Gib = Annotated[float, Field(gt=0, le=65_536)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
"""A value that labels of Kubernetes and of Google Cloud, and tags of AWS, all take."""

_BY_DIGEST: Final = r"^[^@\s]+@sha256:[0-9a-f]{64}$"


def _by_digest(image: str) -> str:
    if not re.fullmatch(_BY_DIGEST, image):
        raise ValueError(
            f"{image} names no digest: write REGISTRY/NAME@sha256:..., as scripts/image says it; a tag can name another image "
            "tomorrow"
        )
    return image


Image = Annotated[str, AfterValidator(_by_digest), Field(json_schema_extra={"pattern": _BY_DIGEST})]
"""An image by its digest, `REGISTRY/NAME@sha256:...`: a tag can name another one tomorrow."""


class Tags(Model):
    """Whose something is, and who pays for it: on every resource that takes tags or labels."""

    owner: Label
    """The team that answers for it."""
    environment: Label
    """As `production`, `staging` or a branch's name."""
    cost_centre: Label
    """Who pays."""
    expires: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = None
    """The day after which it may be swept away; of an environment that is to end."""


class Compute(Model):
    """What a pod may take."""

    cpus: Annotated[float, Field(gt=0, le=448)] = 1.0
    """Requested, and the limit."""
    memory_gib: Gib = 2.0
    """Requested, and the limit."""


class Operator(Model):
    """KubeRay's operator."""

    install: bool = True
    """Whether it is installed here, as a Helm release; otherwise one that watches the namespace has to be there."""
    version: Annotated[str, Field(pattern=r"^1\.[0-9]+\.[0-9]+$")] = "1.7.0"
    """Of its chart; of one that is there already the oldest that will do."""
    namespace: Namespace = "default"
    """Where one that is there already runs; one that is installed here is in the platform's own."""
    repository: HttpUrl = "https://ray-project.github.io/kuberay-helm"
    """Where the chart is."""
    image: Image | None = None
    """The operator's own image; by default the chart's, which is named by a tag."""


class RayHead(Compute):
    """The head of the Ray cluster: it schedules, and runs no work."""

    cpus: Annotated[float, Field(gt=0, le=448)] = 2.0
    """Requested, and the limit."""
    memory_gib: Gib = 8.0
    """Requested, and the limit."""
    autoscaler: Compute = Field(default_factory=lambda: Compute(cpus=0.5, memory_gib=0.5))
    """What the autoscaler beside it may take."""


class Redis(Model):
    """Where the head keeps what outlives it. A head that dies takes every application along without one."""

    address: Annotated[str, Field(pattern=r"^rediss?://[^\s/@]+:[0-9]+$")] | None = None
    """`redis://HOST:PORT` of one that is there; by default one is made in the cluster."""
    password_secret: SecretName | None = None
    """A secret of the namespace whose entry `password` has its password; one that is made has a password of its own."""
    storage_gib: Gib = 4.0
    """Of the volume of one that is made."""


class ClusterDatabase(Model):
    """A PostgreSQL in the cluster, in one pod with one volume. It has no backup: for trials."""

    kind: Literal["cluster"]
    storage_gib: Gib = 20.0
    """Of its volume."""


class ExistingDatabase(Model):
    """A PostgreSQL that is there."""

    kind: Literal["postgres"]
    secret: SecretName
    """A secret of the namespace whose entry `uri` is `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`."""


Database = Annotated[ClusterDatabase | ExistingDatabase, Field(discriminator="kind")]
"""Where MLflow keeps runs and the registry."""


class MLflow(Compute):
    """The tracking server and registry."""

    cpus: Annotated[float, Field(gt=0, le=448)] = 1.0
    """Requested, and the limit."""
    memory_gib: Gib = 3.0
    """Requested, and the limit: about 1 GiB a worker, and as much for the schema's upgrade at the start."""
    workers: Annotated[int, Field(ge=1, le=16)] = 2
    """Processes of the pod."""
    hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.*:-]+$")], ...] = ()
    """Hosts, with ports other than 80 and 443 (`10.0.0.1:6443`, `*.example.com`), by which it may be called beside its
    service's name. The API server hands on the host that it was called by, so that of each kubeconfig belongs here; by default
    every host may be named."""


class ControllerPod(Compute):
    """The controller: one pod with a volume for its database."""

    storage_gib: Gib = 4.0
    """Of its volume."""
    node_timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = NODE_TIMEOUT_SECONDS
    """How long a version may wait for nodes that the autoscaler brings, on top of its own time to start."""


class TrafficPods(Compute):
    """The traffic plane: HAProxy in several pods, each of which carries every application."""

    pods: Annotated[int, Field(ge=2, le=64)] = 2
    """How many; one of them may be away at a time."""
    service: Literal["ClusterIP", "LoadBalancer"] = "ClusterIP"
    """How clients reach it: inside of the cluster, or by a load balancer of the cloud's."""
    internal: bool = True
    """Of a load balancer: whether it is reached from the cloud's own network only."""
    url: HttpUrl | None = None
    """Where clients reach it, as `http://predict.example.com`, where a name or a gateway of somebody else's leads to it; by
    default its service's name, or the load balancer's."""


class Monitoring(Model):
    """What watches the platform."""

    service_monitors: bool = True
    """Whether ServiceMonitors of the Prometheus operator are made; its resource definitions have to be there."""
    namespace: Namespace = "monitoring"
    """Where Prometheus is: from there metrics may be read."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of ServiceMonitors and PodMonitors, where the Prometheus operator asks for some, as `release: prometheus`."""
    dashboards: bool = True
    """Whether Grafana's dashboards are made, as config maps with its sidecar's label."""


class ClusterServices(Model):
    """What runs in a Kubernetes cluster, on every platform that has one."""

    namespace: Namespace = "heliostat"
    """Everything is in it."""
    create_namespace: bool = True
    """Whether it is made here. Where secrets are named in this section, it has to be there with them before."""
    tags: Tags
    """On every resource."""
    image: Image
    """What all pods of Ray, MLflow and the controller run; docs/platforms.md says how it is built."""
    storage_class: str | None = None
    """Of volumes; by default the cluster's own default."""
    priority_class: SecretName | None = None
    """Of head, MLflow, controller and traffic plane, so that they do not give way to trainings; it has to be there."""
    api_server_cidrs: tuple[Cidr, ...] = ()
    """Where the API server's calls to pods come from, as network policies see them: without these, only through agents in
    kube-system, and from the pods' own nodes. Calls from outside of the cluster come this way."""
    client_cidrs: tuple[Cidr, ...] = ("0.0.0.0/0",)
    """Who may reach the traffic plane, as network policies see them."""
    operator: Operator = Field(default_factory=Operator)
    """KubeRay's operator."""
    ray: RayHead = Field(default_factory=RayHead)
    """The head of the Ray cluster."""
    groups: Annotated[Groups, Field(min_length=1)]
    """The workers of the Ray cluster, by kind of node."""
    quota: dict[str, Annotated[int, Field(ge=0)]] = {}
    """The most accelerators that the groups may have in all, by type, as `H100` or `v6e` (chips); 0 allows none. What is not
    named is not limited."""
    redis: Redis = Field(default_factory=Redis)
    """Where the head keeps what outlives it."""
    mlflow: MLflow = Field(default_factory=MLflow)
    """The tracking server and registry."""
    controller: ControllerPod = Field(default_factory=ControllerPod)
    """The controller."""
    traffic: TrafficPods = Field(default_factory=TrafficPods)
    """The traffic plane."""
    monitoring: Monitoring = Field(default_factory=Monitoring)
    """What watches it all."""
