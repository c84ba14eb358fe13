"""Everything that runs in a Kubernetes cluster, whoever made the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from heliostat.platforms.kubernetes import controller, database, identity, mlflow, network, observability, redis, traffic
from heliostat.platforms.kubernetes.cluster import install_operator, make_ray
from heliostat.platforms.kubernetes.ray_cluster import REDIS_KEY, REDIS_SECRET, TOKEN_KEY, TOKEN_SECRET, ray_url
from heliostat.platforms.kubernetes.site import CONTROLLER, RAY, REDIS, TRAFFIC, Manifest, Site, make
from heliostat.platforms.underlay import Underlay
from heliostat.resources import Platform, Token
from heliostat.resources.base import Address, wire
from heliostat.spec.groups import WorkerGroup
from heliostat.spec.machines import Pool, worker_groups
from heliostat.spec.platforms.cluster import ClusterServices, Database


class KubernetesServices(pulumi.ComponentResource):
    """Namespace, KubeRay with a Ray cluster, MLflow, the controller and its traffic plane.

    Args:
        name: The component's name.
        spec: What the config says.
        under: The cluster, the bucket and what else a cloud brings.
        pools: The machines of each group of `spec`; None of one in a cluster that somebody else made.
        opts: Pulumi's resource options.
    """

    def __init__(
        self,
        name: str,
        spec: ClusterServices,
        under: Underlay,
        pools: Mapping[str, Pool | None],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("heliostat:index:KubernetesServices", name, {}, opts)
        self._spec, self._under = spec, under
        self._database: Database | None = getattr(spec, "database", None)
        self._site = Site(
            spec.namespace,
            spec.tags,
            spec.image,
            spec.storage_class,
            under.environment,
            under.store_secret,
            spec.priority_class,
        )
        self._options = self._after(*under.ready)
        if spec.create_namespace:
            self._options = self._after(self._make([identity.namespace(self._site)])[0])
        key = self._secrets()
        self._guard()
        session, ray = self._ray(pools)
        self._groups = worker_groups(spec.groups, pools)
        tracking = database.make_tracking(self._site, spec, self._database, under, key, self._options)
        balancer = self._serving(session, ray, tracking)
        self._observe()
        self.platform = self._platform(session, ray, balancer)
        self.register_outputs({"publicUrl": self.platform.public_url})

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        """Of what comes after those resources, and after all that everything comes after."""
        before = [*self._under.ready, *resources]
        return pulumi.ResourceOptions(parent=self, provider=self._under.provider, depends_on=before)

    def _make(self, manifests: list[Manifest], opts: pulumi.ResourceOptions | None = None) -> list[pulumi.CustomResource]:
        return [make(each, opts or self._options) for each in manifests]

    @property
    def _parts(self) -> tuple[str, ...]:
        own = () if self._spec.redis.address is not None else (REDIS,)
        return (RAY, CONTROLLER, TRAFFIC, *database.parts(self._database), *own)

    def _secrets(self) -> pulumi.Output[str]:
        """The tokens that parts know each other by; gives that of the controller."""
        wanted = [(TOKEN_SECRET, RAY, TOKEN_KEY), (controller.SECRET, CONTROLLER, controller.KEY)]
        wanted.append((controller.AGENTS_SECRET, TRAFFIC, controller.KEY))
        if REDIS in self._parts:
            wanted.append((REDIS_SECRET, REDIS, REDIS_KEY))
        tokens = {name: Token(name, opts=pulumi.ResourceOptions(parent=self)).value for name, _, _ in wanted}
        self._tokens = self._make([identity.secret(self._site, name, part, {key: tokens[name]}) for name, part, key in wanted])
        return tokens[controller.SECRET]

    def _guard(self) -> None:
        """Who the pods are, and who reaches them."""
        spec, under = self._spec, self._under
        self._accounts = self._make(identity.accounts(self._site, self._parts, under.service_account_annotations))
        outside = network.Outside(
            api_server=[*spec.api_server_cidrs, *under.api_server_cidrs],
            clients=spec.client_cidrs,
            prometheus=spec.monitoring.namespace if spec.monitoring.service_monitors else None,
            operator=spec.namespace if spec.operator.install else spec.operator.namespace,
        )
        self._policies = self._make(network.policies(self._site, outside, self._parts))

    def _ray(self, pools: Mapping[str, Pool | None]) -> tuple[str, pulumi.Resource]:
        guarded = [*self._tokens, *self._accounts, *self._policies]
        self._options = self._after(*guarded)
        before: list[pulumi.Resource] = list(self._make(redis.manifests(self._site, self._spec.redis)))
        if self._spec.operator.install:
            before.append(install_operator(self._spec.operator, self._spec.namespace, self._options))
        return make_ray(self._site, self._spec, pools, self._after(*guarded, *before))

    def _serving(self, cluster: str, ray: pulumi.Resource, tracking: pulumi.Resource) -> pulumi.CustomResource:
        """Controller and traffic plane; gives the service that clients reach."""
        spec, site = self._spec, self._site
        url = traffic.url(site, spec.traffic)
        manifests = controller.manifests(site, spec.controller, cluster, self._under.store, url, self._groups)
        running = self._make(manifests, self._after(*self._accounts, ray, tracking))
        *pods, service = traffic.manifests(site, spec.traffic, self._under.load_balancer_annotations, self._under.system_nodes)
        made = self._make(pods, self._after(*running))
        return make(service, self._after(*made))

    def _observe(self) -> None:
        monitoring = self._spec.monitoring
        self._make([*observability.monitors(self._site, monitoring), *observability.dashboards(self._site, monitoring)])

    def _platform(self, session: str, ray: pulumi.Resource, balancer: pulumi.CustomResource) -> Platform:
        site, cluster = self._site, pulumi.Output.from_input(self._under.cluster)
        url = traffic.url(site, self._spec.traffic)
        balanced = self._spec.traffic.service == "LoadBalancer" and self._spec.traffic.url is None
        return Platform(
            store=self._under.store,
            ray=_address(site, cluster, ray_url(site, session), TOKEN_SECRET, TOKEN_KEY),
            tracking_uri=mlflow.uri(site),
            controller=_address(site, cluster, controller.url(site), controller.SECRET, controller.KEY),
            public_url=balancer.status.apply(_balanced_url) if balanced else url,  # type: ignore[attr-defined]
            ray_session=session,
            groups=_exported(self._groups),
            ready=(self,),
            tracking_access=cluster.apply(lambda found: {"proxy": _proxy(found)}),
            ray_cluster=pulumi.Output.all(cluster, ray.urn).apply(
                # By its URN: what a training made there is deleted before the operator is.
                lambda found: {"namespace": site.namespace, "name": session, **_where(found[0])}
            ),
        )


def _address(site: Site, cluster: pulumi.Output[Address], url: str, secret: str, key: str) -> pulumi.Output[Address]:
    """The address of an API in the cluster, as whoever is outside of it opens it."""

    def found(address: Address) -> Address:
        where = {"kind": "kubernetes", "namespace": site.namespace, "name": secret, "key": key, **_where(address)}
        return {"url": url, "credential": where, "proxy": _proxy(address)}

    return cluster.apply(found)


def _exported(groups: Mapping[str, WorkerGroup]) -> dict[str, Any]:
    """The groups as a stack exports them."""
    return {name: wire(group) for name, group in groups.items()}


def _proxy(cluster: Address) -> Address:
    return {"kind": "kubernetes", **_where(cluster)}


def _where(cluster: Address) -> dict[str, Any]:
    """How a secret or a proxy says in which cluster it is: a cloud's by its kind, others by their context."""
    return {"cluster": dict(cluster)} if "kind" in cluster else dict(cluster)


def _balanced_url(status: Any) -> str:
    """Where a load balancer is, by its name or its address."""
    first = status.load_balancer.ingress[0]
    return f"http://{first.hostname or first.ip}"
