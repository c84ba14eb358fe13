"""MLflow in the cluster: one pod over a PostgreSQL, artifacts served out of the bucket. Pure but for what is not known yet."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

import pulumi

from heliostat.platforms.kubernetes.pods import (
    SCRATCH,
    Container,
    empty,
    from_secret,
    http_probe,
    pod,
    service,
    template,
)
from heliostat.platforms.kubernetes.site import MLFLOW, Manifest, Site, selector
from heliostat.spec.platforms.cluster import MLflow

PORT: Final = 5000
ARTIFACTS: Final = "mlflow"
"""Prefix of the artifacts in the bucket."""


def uri(site: Site) -> str:
    """The tracking URI, inside of the cluster."""
    return f"http://{site.host(MLFLOW)}:{PORT}"


def hosts(site: Site, mlflow: MLflow, api_server: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """Whom MLflow answers, by the host that it is called by: it compares the text, with the port.

    Where nobody says how the API server is called, all are admitted: who gets there at all is for the network policies.
    """
    short = (MLFLOW, f"{MLFLOW}.{site.namespace}", site.host(MLFLOW), f"{site.host(MLFLOW)}.cluster.local")
    own = [*(f"{name}:{PORT}" for name in short), f"localhost:{PORT}", f"127.0.0.1:{PORT}", *mlflow.hosts]
    if api_server is None:
        return ",".join(own) if mlflow.hosts else "*"
    return pulumi.Output.from_input(api_server).apply(lambda host: ",".join([*own, host]))


def manifests(
    site: Site,
    mlflow: MLflow,
    database: tuple[str, str],
    artifacts: pulumi.Input[str],
    allowed: pulumi.Input[str],
    revision: pulumi.Input[str],
) -> list[Manifest]:
    """The server and its service.

    Args:
        site: Where.
        mlflow: How large.
        database: The secret and the entry in it that say where PostgreSQL is.
        artifacts: The URI below which artifacts lie.
        allowed: Whom it answers, as `hosts` says it.
        revision: Another text where what the secret holds is another: it is read at the start.
    """
    environment = {
        # Variables, as arguments would show a password to whoever lists processes.
        "MLFLOW_BACKEND_STORE_URI": from_secret(*database),
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_SERVER_ALLOWED_HOSTS": allowed,
        # Its job runner is for evaluations of language models, and takes several processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HOME": SCRATCH,
    }
    prepare = Container(
        name="schema",
        command=("python", "-P", "-m", "heliostat.systems.mlflow_database"),
        compute=mlflow,
        environment=environment,
        mounts={SCRATCH: "scratch"},
    )
    arguments: Sequence[str] = (
        *prepare.command,
        *("mlflow", "server", "--host", "0.0.0.0", "--port", str(PORT)),  # noqa: S104 - a pod's
        *("--workers", str(mlflow.workers), "--serve-artifacts"),
    )
    server = Container(
        name=MLFLOW,
        command=arguments,
        compute=mlflow,
        environment=environment,
        ports={MLFLOW: PORT},
        mounts={SCRATCH: "scratch"},
        probes={
            "startupProbe": http_probe("/health", PORT, failures=60),
            "readinessProbe": http_probe("/health", PORT),
            "livenessProbe": http_probe("/health", PORT, period=20, timeout=10),
        },
    )
    more = {"volumes": [empty("scratch", 5)], "priorityClassName": site.priority_class}
    spec = pod(site, MLFLOW, [server.manifest(site)], initContainers=[prepare.manifest(site)], **more)
    settings: Manifest = {
        "replicas": 1,
        # Two of them could bring the schema to two releases at once.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector(MLFLOW)},
        "template": template(site, MLFLOW, spec, {"heliostat/database": revision}),
    }
    return [
        service(site, MLFLOW, {MLFLOW: PORT}),
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": site.metadata(MLFLOW, MLFLOW), "spec": settings},
    ]


def revision_of(key: str, value: str) -> str:
    """What says that a secret is another one, and nothing of it to who has not the key."""
    return hmac.new(key.encode(), value.encode(), "sha256").hexdigest()[:16]
