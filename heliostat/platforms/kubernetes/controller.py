"""The controller in the cluster: one pod with a volume. Pure but for what is not known yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi

from heliostat.platforms.kubernetes import mlflow
from heliostat.platforms.kubernetes.pods import (
    SCRATCH,
    Container,
    claim,
    empty,
    http_probe,
    pod,
    service,
    stateful,
)
from heliostat.platforms.kubernetes.ray_cluster import TOKEN_KEY, TOKEN_SECRET, ray_url
from heliostat.platforms.kubernetes.site import CONTROLLER, RAY, TRAFFIC, Manifest, Site
from heliostat.resources.base import Address, wire
from heliostat.spec.controller import SETTINGS_FILE
from heliostat.spec.groups import WorkerGroup
from heliostat.spec.platforms.cluster import ControllerPod

PORT: Final = 8500
PUBLIC_PORT: Final = 8080
SECRET, AGENTS_SECRET, KEY = "controller-token", "traffic-token", "token"
SETTINGS: Final = "controller-settings"
TOKENS: Final = "/run/secrets/heliostat"
_SETTINGS: Final = "/etc/heliostat"
_DIRECTORY: Final = "/var/lib/heliostat/controller"
_SERVE_PORT: Final = 8000


def url(site: Site) -> str:
    """Where its API answers, inside of the cluster."""
    return f"http://{site.host(CONTROLLER)}:{PORT}"


def settings(site: Site, cluster: str, store: Address, clients_url: str, nodes: Mapping[str, Any] | None = None) -> str:
    """What it is started with, as its data folder has it; `cluster` is the name of the Ray cluster that it works on, `nodes`
    what it knows of those that are brought."""
    token = f"{TOKENS}/{CONTROLLER}/{KEY}"
    ray = {
        "url": ray_url(site, cluster),
        "credential": {"kind": "file", "path": f"{TOKENS}/{RAY}/{TOKEN_KEY}"},
    }
    inputs = {
        "directory": _DIRECTORY,
        "ray": ray,
        "store": dict(store),
        "trackingUri": mlflow.uri(site),
        "host": site.host(CONTROLLER),
    }
    found: dict[str, Any] = {
        "inputs": inputs,
        "apiPort": PORT,
        "publicPort": PUBLIC_PORT,
        "servePort": _SERVE_PORT,
        "listen": "0.0.0.0",  # noqa: S104 - a pod's
        "tokenFile": token,
        "trafficPlane": "fleet",
        "agentsCredential": {"kind": "file", "path": f"{TOKENS}/{TRAFFIC}/{KEY}"},
        "clientsUrl": clients_url,
        **(nodes or {}),
    }
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def brought(controller: ControllerPod, groups: Mapping[str, WorkerGroup]) -> dict[str, Any]:
    """What the controller knows of the nodes that Ray's autoscaler brings."""
    return {
        "groups": {name: wire(group) for name, group in groups.items()},
        "nodeTimeoutSeconds": controller.node_timeout_seconds,
    }


def manifests(
    site: Site,
    controller: ControllerPod,
    cluster: str,
    store: pulumi.Input[Address],
    clients_url: str,
    groups: Mapping[str, WorkerGroup],
) -> list[Manifest]:
    """Its settings, its pod and its service."""
    address = pulumi.Output.from_input(store)
    text = address.apply(lambda known: settings(site, cluster, known, clients_url, brought(controller, groups)))
    config: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": site.metadata(SETTINGS, CONTROLLER),
        "data": {SETTINGS_FILE: text},
    }
    digest = text.apply(lambda written: hashlib.sha256(written.encode()).hexdigest()[:16])
    container = Container(
        name=CONTROLLER,
        command=(
            *("python", "-P", "-m", "heliostat.controller"),
            "--directory",
            _DIRECTORY,
            "--settings",
            f"{_SETTINGS}/{SETTINGS_FILE}",
        ),
        compute=controller,
        environment={"HOME": SCRATCH, "HELIOSTAT_RUNTIME_DIR": f"{SCRATCH}/run"},
        ports={"api": PORT},
        mounts={
            _DIRECTORY: "data",
            SCRATCH: "scratch",
            _SETTINGS: "settings",
            **{f"{TOKENS}/{part}": f"{part}-token" for part in (CONTROLLER, RAY, TRAFFIC)},
        },
        probes={
            "startupProbe": http_probe("/healthz", "api", failures=60),
            "readinessProbe": http_probe("/readyz", "api"),
            "livenessProbe": http_probe("/healthz", "api", period=10, failures=6),
        },
    ).manifest(site)
    secrets = {CONTROLLER: SECRET, RAY: TOKEN_SECRET, TRAFFIC: AGENTS_SECRET}
    volumes: list[Manifest] = [
        empty("scratch", 2),
        {"name": "settings", "configMap": {"name": SETTINGS}},
        *({"name": f"{part}-token", "secret": {"secretName": name}} for part, name in secrets.items()),
    ]
    # The runners of analyses are its children, and theirs are nobody's when they end.
    more = {"shareProcessNamespace": True, "priorityClassName": site.priority_class}
    spec = pod(site, CONTROLLER, [container], volumes=volumes, **more)
    claims = [claim(site, "data", controller.storage_gib)]
    # It reads its settings at the start only.
    annotations = {"heliostat/settings": digest}
    return [
        config,
        service(site, CONTROLLER, {"api": PORT}),
        stateful(site, CONTROLLER, spec, claims, annotations=annotations),
    ]
