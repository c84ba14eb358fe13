"""Plays KubeRay's operator for the RayClusters of one namespace: its binary is in no registry.

It does with a RayCluster what KubeRay 1.7 does with the fields that the platform sets: the head's service, the rights of the
autoscaler, a pod for the head with the autoscaler beside it, pods for the workers that wait for the head, tokens, fault
tolerance by Redis, probes, ports and start parameters as they are declared, a pod again for one that ended, and the two
conditions that `up` waits for. It has no finalizer that empties Redis, and knows no upgrades, RayJobs, TPUs or ingresses.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.kubernetes.cluster import Cluster, Refused

Object = dict[str, Any]
GCS = 6379
_PAUSE_SECONDS = 1.0
_WAIT = "until ray health-check --address {address} > /dev/null 2>&1; do sleep 2; done"


class PlayedOperator:
    """One that runs as long as the context lasts."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ray-operator", daemon=True)
        self.errors: list[str] = []

    def __enter__(self) -> PlayedOperator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            try:
                for each in self._list("rayclusters"):
                    if "deletionTimestamp" not in each["metadata"]:
                        self._reconcile(each)
            except Refused as error:
                # As an operator does: the next round begins anew.
                self.errors.append(str(error))

    def _reconcile(self, ray: Object) -> None:
        name = ray["metadata"]["name"]
        pods = self._list("pods", f"ray.io/cluster={name}")
        ended = [each for each in pods if each["status"].get("phase") in ("Failed", "Succeeded")]
        leaving = {name for group in ray["spec"]["workerGroupSpecs"] for name in _to_delete(group)}
        for each in pods:
            if (each in ended or each["metadata"]["name"] in leaving) and "deletionTimestamp" not in each["metadata"]:
                self._cluster.run("delete", "pod", each["metadata"]["name"], "-n", self._namespace, "--wait=false")
        standing = [each for each in pods if each not in ended and "deletionTimestamp" not in each["metadata"]]
        for made in (*beside(ray), *missing(ray, standing)):
            self._apply(made)
        self._tell(ray, conditions(ray, standing))

    def _tell(self, ray: Object, found: Sequence[Object]) -> None:
        before = {each["type"]: each["status"] for each in ray.get("status", {}).get("conditions", ())}
        if any(before.get(each["type"]) != each["status"] for each in found):
            patch = json.dumps({"status": {"conditions": list(found)}})
            place = (f"raycluster/{ray['metadata']['name']}", "-n", self._namespace, "--subresource=status", "--type=merge")
            self._cluster.run("patch", *place, "-p", patch)

    def _apply(self, made: Object) -> None:
        if made["kind"] == "Pod":
            self._cluster.run("create", "-f", "-", text=json.dumps(made))
        else:
            self._cluster.run("apply", "--server-side", "--field-manager=kuberay", "-f", "-", text=json.dumps(made))

    def _list(self, kind: str, selector: str = "") -> list[Object]:
        chosen = ("-l", selector) if selector else ()
        return list(json.loads(self._cluster.run("get", kind, "-n", self._namespace, *chosen, "-o", "json"))["items"])


def beside(ray: Object) -> Iterator[Object]:
    """The head's service, which workers know the head by, and what the autoscaler may do."""
    name, chosen = ray["metadata"]["name"], {"ray.io/cluster": ray["metadata"]["name"], "ray.io/node-type": "head"}
    container = ray["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    ports = [{"name": each["name"], "port": each["containerPort"]} for each in container["ports"]]
    # Workers come to a head that is not ready yet.
    service = {"selector": chosen, "ports": ports, "clusterIP": "None", "publishNotReadyAddresses": True}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(ray, f"{name}-head-svc"), "spec": service}
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["pods/resize"], "verbs": ["patch"]},
        {"apiGroups": ["ray.io"], "resources": ["rayclusters"], "verbs": ["get", "patch"]},
    ]
    api = "rbac.authorization.k8s.io"
    yield {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": _metadata(ray, name), "rules": rules}
    account = ray["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": ray["metadata"]["namespace"]}
    role = {"apiGroup": api, "kind": "Role", "name": name}
    binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": _metadata(ray, name)}
    yield {**binding, "roleRef": role, "subjects": [subject]}


def missing(ray: Object, standing: Sequence[Object]) -> Iterator[Object]:
    """The pods that are to be made, those that stand being what there is."""
    there = [each["metadata"]["labels"]["ray.io/group"] for each in standing]
    if "headgroup" not in there:
        yield _head(ray)
    for group in ray["spec"]["workerGroupSpecs"]:
        wanted = max(group["minReplicas"], min(group.get("replicas", 0), group["maxReplicas"]))
        for _ in range(wanted - there.count(group["groupName"])):
            yield _worker(ray, group)


def conditions(ray: Object, standing: Sequence[Object]) -> list[Object]:
    """What the cluster's status says of its pods."""
    ready = [is_ready(each) for each in standing]
    head = any(is_ready(each) for each in standing if each["metadata"]["labels"]["ray.io/node-type"] == "head")
    wanted = 1 + sum(group["minReplicas"] for group in ray["spec"]["workerGroupSpecs"])
    before = {each["type"]: each["status"] for each in ray.get("status", {}).get("conditions", ())}
    # It was once; later troubles are told by the other one.
    provisioned = before.get("RayClusterProvisioned") == "True" or sum(ready) >= wanted
    return [_condition("HeadPodReady", head), _condition("RayClusterProvisioned", provisioned)]


def _condition(kind: str, holds: bool) -> Object:
    at = {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""}
    return {"type": kind, "status": str(holds), "reason": kind if holds else "Waiting", **at}


def _head(ray: Object) -> Object:
    spec = ray["spec"]
    pod, container = _pod(ray, spec["headGroupSpec"], "head", "headgroup")
    options = spec["gcsFaultToleranceOptions"]
    password = {"name": "REDIS_PASSWORD", **options["redisPassword"]}
    fault_tolerance = {"RAY_external_storage_namespace": ray["metadata"]["uid"], "RAY_REDIS_ADDRESS": options["redisAddress"]}
    own = {**fault_tolerance, "RAY_enable_autoscaler_v2": "true", "RAY_ADDRESS": f"127.0.0.1:{GCS}"}
    container["env"] += [*({"name": key, "value": value} for key, value in own.items()), password]
    parameters = {"no-monitor": "true", "redis-password": "$REDIS_PASSWORD", **spec["headGroupSpec"]["rayStartParams"]}
    _start(container, "ray start --head", parameters)
    pod["spec"]["containers"].append(_autoscaler(spec, container))
    _share(pod, "ray-logs", "/tmp/ray", {"emptyDir": {}})
    return pod


def _autoscaler(spec: Object, head: Object) -> Object:
    options = spec["autoscalerOptions"]
    fields = {
        "RAY_CLUSTER_NAME": "metadata.labels['ray.io/cluster']",
        "RAY_CLUSTER_NAMESPACE": "metadata.namespace",
        "RAY_HEAD_POD_NAME": "metadata.name",
    }
    names = "--cluster-name $(RAY_CLUSTER_NAME) --cluster-namespace $(RAY_CLUSTER_NAMESPACE)"
    env = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    token = [each for each in head["env"] if each["name"] in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE")]
    return {
        "name": "autoscaler",
        "image": head["image"],
        "command": ["/bin/bash", "-c", "--"],
        "args": [f"ray kuberay-autoscaler {names}"],
        "env": [*env, *token, {"name": "KUBERAY_CRD_VER", "value": "v1"}],
        "resources": options["resources"],
        "securityContext": options["securityContext"],
        "volumeMounts": [],
    }


def _worker(ray: Object, group: Object) -> Object:
    pod, container = _pod(ray, group, "worker", group["groupName"])
    head = f"{ray['metadata']['name']}-head-svc.{ray['metadata']['namespace']}.svc.cluster.local"
    waiting = {
        **{key: container[key] for key in ("image", "securityContext", "volumeMounts")},
        "name": "wait-gcs-ready",
        "command": ["/bin/bash", "-c", "--"],
        "args": [_WAIT.format(address=f"{head}:{GCS}")],
        "env": list(container["env"]),
        "resources": {key: {"cpu": "200m", "memory": "256Mi"} for key in ("requests", "limits")},
    }
    pod["spec"]["initContainers"] = [*pod["spec"].get("initContainers", ()), waiting]
    own = {"FQ_RAY_IP": head, "RAY_ADDRESS": f"{head}:{GCS}", "RAY_gcs_rpc_server_reconnect_timeout_s": "600"}
    container["env"] += [{"name": key, "value": value} for key, value in own.items()]
    _start(container, "ray start", {"address": f"{head}:{GCS}", **group["rayStartParams"]})
    return pod


def _pod(ray: Object, group: Object, kind: str, name: str) -> tuple[Object, Object]:
    """A pod by its template, and the container of Ray in it."""
    cluster, template = ray["metadata"]["name"], copy.deepcopy(group["template"])
    labels = {"app.kubernetes.io/name": "kuberay", **template["metadata"].get("labels", {})}
    labels |= {"ray.io/cluster": cluster, "ray.io/node-type": kind, "ray.io/group": name, "ray.io/is-ray-node": "yes"}
    metadata = {**_metadata(ray, ""), "labels": labels, "annotations": template["metadata"].get("annotations", {})}
    metadata["generateName"] = f"{cluster}-{name}-"
    del metadata["name"]
    spec = {**template["spec"], "restartPolicy": "Never"}
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    container = spec["containers"][0]
    shared = {"emptyDir": {"medium": "Memory", "sizeLimit": container["resources"]["limits"]["memory"]}}
    _share(pod, "shared-mem", "/dev/shm", shared)
    fields = {
        "RAY_CLUSTER_NAME": "metadata.labels['ray.io/cluster']",
        "RAY_CLOUD_INSTANCE_ID": "metadata.name",
        "RAY_NODE_TYPE_NAME": "metadata.labels['ray.io/group']",
    }
    container["env"] += [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()]
    return pod, container


def _share(pod: Object, name: str, path: str, volume: Object) -> None:
    """A volume that all of a pod's containers have at a path."""
    pod["spec"].setdefault("volumes", []).append({"name": name, **volume})
    for container in pod["spec"]["containers"]:
        container.setdefault("volumeMounts", []).append({"name": name, "mountPath": path})


def _start(container: Object, command: str, parameters: Mapping[str, str]) -> None:
    """The command by which a container becomes a node of Ray's."""
    limits = container["resources"]["limits"]
    given = {
        "num-cpus": str(math.ceil(_number(limits["cpu"]))),
        "memory": str(_bytes(limits["memory"])),
        "metrics-export-port": "8080",
        "dashboard-agent-listen-port": "52365",
        **parameters,
        "block": "true",
    }
    flags = [f"--{key}" if value == "true" else f"--{key}={value}" for key, value in sorted(given.items())]
    container["command"] = ["/bin/bash", "-c", "--"]
    container["args"] = [f"ulimit -n 65536; {command} {' '.join(flags)}"]


def _metadata(ray: Object, name: str) -> Object:
    owner = {"apiVersion": ray["apiVersion"], "kind": ray["kind"], "controller": True, "blockOwnerDeletion": True}
    owner |= {key: ray["metadata"][key] for key in ("name", "uid")}
    labels = {"ray.io/cluster": ray["metadata"]["name"]}
    return {"name": name, "namespace": ray["metadata"]["namespace"], "labels": labels, "ownerReferences": [owner]}


def _to_delete(group: Object) -> Sequence[str]:
    return group.get("scaleStrategy", {}).get("workersToDelete") or ()


def is_ready(pod: Object) -> bool:
    """Whether its own probes say so."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _number(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _bytes(quantity: str) -> int:
    for suffix, factor in (("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)):
        with contextlib.suppress(ValueError):
            return int(float(quantity.removesuffix(suffix)) * factor) if quantity.endswith(suffix) else int(quantity)
    raise ValueError(quantity)
