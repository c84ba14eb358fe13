"""The pods that KubeRay's operator makes of a RayCluster, as far as the scheduler looks at them; it is not at hand itself.

Release 1.7, with its gate RayMultiHostIndexing, which is on by default: a label for each slice's name. What GKE's webhook does
to pods with TPUs, of which it is the only one to know, is `by_gke`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CLUSTER, GROUP = "ray.io/cluster", "ray.io/group"
REPLICA_NAME = "ray.io/worker-group-replica-name"
POOL_KEY = "cloud.google.com/gke-nodepool"


@dataclass(frozen=True)
class RayPods:
    """The pods of one RayCluster."""

    cluster: Mapping[str, Any]
    namespace: str
    gke: bool = False
    """Whether GKE's webhook is there."""

    def head(self) -> dict[str, Any]:
        """The head's, with the autoscaler beside it."""
        spec = self.cluster["spec"]
        pod = self._pod(
            spec["headGroupSpec"]["template"], f"{self._name}-head", {GROUP: "headgroup", "ray.io/node-type": "head"}
        )
        pod["spec"]["containers"].append(
            {"name": "autoscaler", "image": "autoscaler", "resources": spec["autoscalerOptions"]["resources"]}
        )
        return pod

    def groups(self) -> dict[str, int]:
        """The most replicas of each group."""
        return {each["groupName"]: int(each["maxReplicas"]) for each in self.cluster["spec"]["workerGroupSpecs"]}

    def hosts(self, group: str) -> int:
        """Pods of each replica."""
        return int(self._group(group).get("numOfHosts", 1))

    def replica(self, group: str, number: int, name: str = "") -> list[dict[str, Any]]:
        """The pods of a replica of a group; another `name` tells those that come for those that went."""
        return [self._worker(group, number, host, name) for host in range(self.hosts(group))]

    def _group(self, name: str) -> dict[str, Any]:
        return next(each for each in self.cluster["spec"]["workerGroupSpecs"] if each["groupName"] == name)

    def _worker(self, group: str, number: int, host: int, name: str) -> dict[str, Any]:
        slice_name = f"{group}-{name}{number}"
        labels = {GROUP: group, "ray.io/node-type": "worker", "ray.io/worker-group-replica-index": str(number)}
        several = self.hosts(group) > 1
        if several:
            labels |= {REPLICA_NAME: slice_name, "ray.io/replica-host-index": str(host)}
        pod = self._pod(self._group(group)["template"], f"{self._name}-{slice_name}-{host}", labels)
        return by_gke(pod) if several and self.gke else pod

    @property
    def _name(self) -> str:
        return str(self.cluster["metadata"]["name"])

    def _pod(self, template: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> dict[str, Any]:
        made = copy.deepcopy(dict(template))
        own = {CLUSTER: self._name, "ray.io/is-ray-node": "yes", **labels}
        metadata = {**made["metadata"], "name": name, "namespace": self.namespace}
        metadata["labels"] = {**metadata["labels"], **own}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made["spec"]}


def by_gke(pod: Mapping[str, Any]) -> dict[str, Any]:
    """A pod as GKE's webhook leaves it: beside those of its slice, in a node pool without pods of any other."""
    made = copy.deepcopy(dict(pod))
    labels = made["metadata"]["labels"]
    mine, cluster = labels[REPLICA_NAME], labels[CLUSTER]
    together = _term(_rule(REPLICA_NAME, "In", mine), _rule(CLUSTER, "In", cluster))
    others = _term(_rule(REPLICA_NAME, "NotIn", mine), _rule(CLUSTER, "In", cluster))
    strangers = _term(_rule(CLUSTER, "NotIn", cluster), {"key": REPLICA_NAME, "operator": "Exists"})
    strangers["namespaceSelector"] = {"matchExpressions": [_rule("kubernetes.io/metadata.name", "NotIn", "kube-system")]}
    affinity = made["spec"].setdefault("affinity", {})
    for kind, terms in (("podAffinity", [together]), ("podAntiAffinity", [others, strangers])):
        there = affinity.setdefault(kind, {}).setdefault("requiredDuringSchedulingIgnoredDuringExecution", [])
        there.extend(terms)
    return made


def _term(*rules: Mapping[str, Any]) -> dict[str, Any]:
    return {"labelSelector": {"matchExpressions": list(rules)}, "topologyKey": POOL_KEY}


def _rule(key: str, operator: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": [value]}


def interleaved(slices: list[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The pods of several slices in the order that makes it hardest to keep them whole: of each the first, then the second."""
    for host in range(max(map(len, slices), default=0)):
        yield from (each[host] for each in slices if host < len(each))
