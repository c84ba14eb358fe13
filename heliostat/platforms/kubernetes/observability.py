"""What watches the platform: what Prometheus reads, and Grafana's dashboards. Pure."""

from __future__ import annotations

from typing import Final

from heliostat.platforms.grafana import as_json
from heliostat.platforms.kubernetes import controller
from heliostat.platforms.kubernetes.site import CONTROLLER, RAY, Manifest, Site, selector
from heliostat.spec.platforms.cluster import Monitoring

_API: Final = "monitoring.coreos.com/v1"
_SECONDS: Final = "15s"


def monitors(site: Site, monitoring: Monitoring) -> list[Manifest]:
    """What Prometheus reads: Ray's nodes, and the controller, which counts for the traffic plane. MLflow tells nothing."""
    if not monitoring.service_monitors:
        return []
    ray = {"port": "metrics", "interval": _SECONDS, "relabelings": [_label("ray_io_node_type"), _label("ray_io_cluster")]}
    credentials = {"type": "Bearer", "credentials": {"name": controller.SECRET, "key": controller.KEY}}
    api = {"port": "api", "path": "/metrics", "interval": _SECONDS, "authorization": credentials}
    return [
        _monitor(site, monitoring, "PodMonitor", RAY, {"podMetricsEndpoints": [ray]}),
        _monitor(site, monitoring, "ServiceMonitor", CONTROLLER, {"endpoints": [api]}),
    ]


def dashboards(site: Site, monitoring: Monitoring) -> list[Manifest]:
    """Config maps that the sidecar of Grafana's chart looks for."""
    if not monitoring.dashboards:
        return []
    metadata = site.metadata("heliostat-rollouts", "dashboards")
    metadata["labels"]["grafana_dashboard"] = "1"
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"heliostat-rollouts.json": as_json()}}]


def _monitor(site: Site, monitoring: Monitoring, kind: str, part: str, spec: Manifest) -> Manifest:
    metadata = site.metadata(part, part)
    metadata["labels"] |= monitoring.labels
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": selector(part)}, **spec},
    }


def _label(name: str) -> Manifest:
    return {"sourceLabels": [f"__meta_kubernetes_pod_label_{name}"], "targetLabel": name, "action": "replace"}
