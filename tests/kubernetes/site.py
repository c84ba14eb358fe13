"""What a cluster has to have before the platform's stack can be made in it, as an administrator makes it on one small node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.kubernetes import prometheus
from tests.kubernetes.cluster import Cluster
from tests.platforms import strict

Object = dict[str, Any]
NAMESPACE = "platform"
STORAGE = "node"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
_USER = 1000
_VOLUMES = 3
_SMALL = """\
Object{{spec: Object.spec{{{field}: object.spec.?{field}.orValue([]).map(each, Object.spec.{field}{{
  name: each.name, resources: Object.spec.{field}.resources{{requests: {{"cpu": "100m", "memory": "32Mi"}}}}}})}}}}
"""


def prepare(cluster: Cluster, folder: Path) -> None:
    """Make the namespace with the bucket's credentials, volumes, and the definitions of kinds that others bring.

    Args:
        cluster: Where.
        folder: Where the volumes' files lie on the node.
    """
    # Of an earlier run on a node that stays up.
    cluster.run("delete", "namespace", NAMESPACE, prometheus.NAMESPACE, "--ignore-not-found")
    cluster.apply_all([*_namespace(), *_small_node(), *_storage(folder), *_monitors()])
    # The operator watches all of its kinds.
    for file in sorted(strict.DEFINITIONS.glob("ray.io_*.yaml")):
        cluster.define(file)


def _namespace() -> list[Object]:
    profile = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": profile}}
    metadata = {"name": "bucket", "namespace": NAMESPACE}
    return [namespace, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(CREDENTIALS)}]


def _small_node() -> list[Object]:
    """Two cores hold no pods that each ask for whole ones: here they ask for little, and may take what they are to have."""
    group, name = "admissionregistration.k8s.io/v1", "small-node"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    mutations = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _SMALL.format(field=field)}}
        for field in ("containers", "initContainers")
    ]
    spec: Object = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "resourceRules": [rule],
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": mutations,
    }
    return [
        {"apiVersion": group, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


def _storage(folder: Path) -> list[Object]:
    """A default class, and volumes that are there, as nobody on the node makes any."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    found: list[Object] = [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": STORAGE, "annotations": default},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    ]
    for number in range(_VOLUMES):
        path = folder / f"volume-{number}"
        path.mkdir(parents=True)
        # A folder of the node's takes no `fsGroup`.
        os.chown(path, _USER, _USER)
        spec = {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(path), "type": "Directory"},
        }
        # One that stays with a claim of an earlier run is no other run's.
        name = f"{folder.name}-{os.getpid()}-{number}"
        found.append({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    return found


def _monitors() -> list[Object]:
    """The Prometheus operator's kinds, as far as that there are such: its own definitions are not at hand."""
    found = []
    for kind in ("ServiceMonitor", "PodMonitor"):
        plural, group = f"{kind.lower()}s", "monitoring.coreos.com"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        spec = {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        }
        metadata = {"name": f"{plural}.{group}"}
        api = "apiextensions.k8s.io/v1"
        found.append({"apiVersion": api, "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec})
    return found
