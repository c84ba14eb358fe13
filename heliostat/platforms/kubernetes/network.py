"""Who reaches whom in the namespace: nobody, but for what is said here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from heliostat.platforms.kubernetes import controller, mlflow, postgres, ray_cluster, redis, traffic
from heliostat.platforms.kubernetes.site import CONTROLLER, MLFLOW, POSTGRES, RAY, REDIS, TRAFFIC, Manifest, Site, selector

Port = int | tuple[int, int]
_NAMESPACE: Final = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Outside:
    """Whoever is no pod of the namespace."""

    api_server: Sequence[pulumi.Input[str]]
    """Where the API server's calls come from."""
    clients: Sequence[str]
    """Of the traffic plane."""
    prometheus: str | None
    """Its namespace."""
    operator: str
    """KubeRay's namespace."""


def policies(site: Site, outside: Outside, parts: Iterable[str]) -> list[Manifest]:
    """A policy that lets nothing in, and one for each of the parts that there are."""
    wanted = {name: rules for name, rules in _rules(outside).items() if name in set(parts)}
    return [_policy(site, "default-deny", {}, []), *(_policy(site, name, selector(name), wanted[name]) for name in wanted)]


def _rules(outside: Outside) -> dict[str, list[Manifest]]:
    proxy = _api_server(outside)
    scraping = [_in_namespace(outside.prometheus)] if outside.prometheus else []
    operator = _in_namespace(outside.operator)
    clients: list[Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in outside.clients]
    return {
        RAY: [
            # Ray's own ports are many, and each worker's another.
            _rule([_pods(RAY)], []),
            _rule([_pods(TRAFFIC), _pods(CONTROLLER)], [ray_cluster.REPLICA_PORTS]),
            _rule([_pods(CONTROLLER), operator, *proxy], [ray_cluster.DASHBOARD]),
            *_each(scraping, [ray_cluster.METRICS]),
        ],
        MLFLOW: [_rule([_pods(RAY), _pods(CONTROLLER), *proxy], [mlflow.PORT])],
        # Replicas and jobs never call it: what they say is asked for.
        CONTROLLER: [_rule([_pods(TRAFFIC), *proxy, *scraping], [controller.PORT])],
        TRAFFIC: [
            _rule([*clients, _pods(RAY), _pods(CONTROLLER)], [traffic.PUBLIC_PORT]),
            _rule([_pods(TRAFFIC)], [traffic.AGENT_PORT]),
        ],
        REDIS: [_rule([_pods(RAY)], [redis.PORT])],
        POSTGRES: [_rule([_pods(MLFLOW)], [postgres.PORT])],
    }


def _api_server(outside: Outside) -> list[Manifest]:
    agents: Manifest = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "konnectivity-agent"}},
    }
    return [agents, *({"ipBlock": {"cidr": cidr}} for cidr in outside.api_server)]


def _policy(site: Site, name: str, pods: dict[str, str], rules: list[Manifest]) -> Manifest:
    chosen: Manifest = {"matchLabels": pods} if pods else {}
    spec: dict[str, Any] = {"podSelector": chosen, "policyTypes": ["Ingress"]}
    if rules:
        spec["ingress"] = rules
    metadata = site.metadata(name, name if pods else "network")
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _each(sources: Sequence[Manifest], ports: Sequence[Port]) -> list[Manifest]:
    return [_rule(sources, ports)] if sources else []


def _rule(sources: Sequence[Manifest], ports: Sequence[Port]) -> Manifest:
    rule: Manifest = {"from": list(sources)}
    return rule | ({"ports": [_port(each) for each in ports]} if ports else {})


def _port(port: Port) -> Manifest:
    if isinstance(port, tuple):
        return {"protocol": "TCP", "port": port[0], "endPort": port[1]}
    return {"protocol": "TCP", "port": port}


def _pods(part: str) -> Manifest:
    return {"podSelector": {"matchLabels": selector(part)}}


def _in_namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}}
