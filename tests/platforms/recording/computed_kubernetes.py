"""What a Kubernetes API server and pulumi-kubernetes add to what they are given."""

from typing import Any


def computed(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    metadata = inputs.get("metadata") or {}
    place = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
    found: dict[str, Any] = {"id": place or f"{name}-id"}
    if kind == "kubernetes:core/v1:Service":
        found["status"] = {"loadBalancer": {"ingress": [{"hostname": f"{metadata.get('name')}.elb.example"}]}}
    if kind == "kubernetes:helm.sh/v3:Release":
        found |= {"status": {"status": "deployed"}, "resourceNames": {}}
    return found


def replaces(kind: str) -> tuple[str, ...]:
    immutable = {
        "kubernetes:apps/v1:StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"),
        "kubernetes:apps/v1:Deployment": ("spec.selector",),
        "kubernetes:core/v1:Secret": ("type",),
    }
    return ("metadata.name", "metadata.namespace", "kind", "apiVersion", *immutable.get(kind, ()))
