"""The traffic plane: HAProxy in several pods, beside each an agent that has it do what the controller says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from heliostat.platforms.kubernetes import controller
from heliostat.platforms.kubernetes.pods import (
    NOT_AWAITED,
    SCRATCH,
    Container,
    apart,
    empty,
    from_field,
    http_probe,
    pod,
    spread,
    template,
    zones,
)
from heliostat.platforms.kubernetes.site import TRAFFIC, Manifest, Site, selector
from heliostat.spec.platforms.cluster import TrafficPods

PORT: Final = 80
PUBLIC_PORT, AGENT_PORT = controller.PUBLIC_PORT, 8081
SETTLE_SECONDS, DRAIN_SECONDS = 15, 60
"""Until nobody sends clients to a pod that is not ready any more, and for what they have on their way."""


def url(site: Site, traffic: TrafficPods) -> str:
    """Where clients reach the applications, as far as the config knows."""
    return traffic.url or f"http://{site.host(TRAFFIC)}"


def manifests(site: Site, traffic: TrafficPods, annotations: Mapping[str, str], nodes: int | None) -> list[Manifest]:
    """The pods, how many of them may be away, and their service, the last.

    `nodes`: how many there are for them; None where nobody knows.
    """
    budget: Manifest = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": site.metadata(TRAFFIC, TRAFFIC),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(TRAFFIC)}},
    }
    return [_pods(site, traffic, nodes), budget, _service(site, traffic, annotations)]


def _pods(site: Site, traffic: TrafficPods, nodes: int | None) -> Manifest:
    token = f"{controller.TOKENS}/{TRAFFIC}"
    directory = f"{SCRATCH}/traffic"
    arguments = (
        *("python", "-P", "-m", "heliostat.traffic", "--controller", controller.url(site)),
        *("--token-file", f"{token}/{controller.KEY}", "--directory", directory, "--member", "$(POD_NAME)"),
        *("--public-port", str(PUBLIC_PORT), "--port", str(AGENT_PORT), "--url", f"http://$(POD_IP):{AGENT_PORT}"),
        *("--settle-seconds", str(SETTLE_SECONDS), "--drain-seconds", str(DRAIN_SECONDS)),
        *("--threads", str(max(1, int(traffic.cpus)))),
    )
    container = Container(
        name=TRAFFIC,
        command=arguments,
        compute=traffic,
        environment={
            "HOME": SCRATCH,
            "HELIOSTAT_RUNTIME_DIR": f"{SCRATCH}/run",
            "POD_NAME": from_field("metadata.name"),
            "POD_IP": from_field("status.podIP"),
        },
        ports={"http": PUBLIC_PORT, "agent": AGENT_PORT},
        mounts={SCRATCH: "scratch", token: "token"},
        probes={
            "startupProbe": http_probe("/healthz", "agent", failures=60),
            "readinessProbe": http_probe("/readyz", "agent", period=2, failures=1),
            "livenessProbe": http_probe("/healthz", "agent", period=10, failures=6),
        },
    )
    spec = pod(
        site,
        TRAFFIC,
        [container.manifest(site.without_store())],
        volumes=[empty("scratch", 1), {"name": "token", "secret": {"secretName": controller.AGENTS_SECRET}}],
        affinity=spread(TRAFFIC),
        topologySpreadConstraints=[*zones(TRAFFIC), *(apart(TRAFFIC, min(nodes, traffic.pods)) if nodes else ())],
        # What HAProxy leaves behind when it is started anew is for the pod's first process to end.
        shareProcessNamespace=True,
        terminationGracePeriodSeconds=SETTLE_SECONDS + DRAIN_SECONDS + 15,
        priorityClassName=site.priority_class,
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": site.metadata(TRAFFIC, TRAFFIC),
        "spec": {
            "replicas": traffic.pods,
            # One more before one less: as many as were asked for carry the traffic.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "minReadySeconds": 5,
            "selector": {"matchLabels": selector(TRAFFIC)},
            "template": template(site, TRAFFIC, spec),
        },
    }


def _service(site: Site, traffic: TrafficPods, annotations: Mapping[str, str]) -> Manifest:
    spec: Manifest = {
        "type": traffic.service,
        "selector": selector(TRAFFIC),
        "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
    }
    balanced = traffic.service == "LoadBalancer"
    metadata = site.metadata(TRAFFIC, TRAFFIC, annotations if balanced else NOT_AWAITED)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
