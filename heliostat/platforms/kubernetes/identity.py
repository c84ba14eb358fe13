"""Who the pods are, and the tokens by which they know each other. Pure but for what is not known yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi

from heliostat.platforms.kubernetes.site import CONTROLLER, MLFLOW, POSTGRES, RAY, REDIS, TRAFFIC, Manifest, Site

_AT_THE_BUCKET: Final = (RAY, MLFLOW, CONTROLLER)


def accounts(site: Site, parts: Iterable[str], annotations: Mapping[str, pulumi.Input[str]]) -> list[Manifest]:
    """A service account a part: nobody has rights of another, and none may ask the API but Ray's autoscaler.

    Args:
        site: Where.
        parts: What there is.
        annotations: What gives an account its right to the bucket, where that is said by annotations.
    """
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": site.metadata(part, part, annotations if part in _AT_THE_BUCKET else None),
            "automountServiceAccountToken": False,
        }
        for part in (RAY, MLFLOW, CONTROLLER, TRAFFIC, REDIS, POSTGRES)
        if part in set(parts)
    ]


def secret(site: Site, name: str, part: str, values: Mapping[str, Any]) -> Manifest:
    """A secret of the namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": site.metadata(name, part),
        "type": "Opaque",
        "stringData": dict(values),
    }


def namespace(site: Site) -> Manifest:
    """The namespace, in which only pods that keep to the restricted profile start."""
    profile = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    labels = {**profile, **{key: value for key, value in site.labels("namespace").items() if key != "heliostat/part"}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": site.namespace, "labels": labels}}
