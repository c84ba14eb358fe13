"""What Google Cloud sees of the cluster: logs of everything, and metrics by its managed Prometheus.

No sink is made: logs of pods lie in the project's default bucket of Cloud Logging, where its retention is set.
"""

from __future__ import annotations

from typing import Final

from pulumi_gcp import container

_METRICS: Final = (
    "SYSTEM_COMPONENTS",
    "APISERVER",
    "SCHEDULER",
    "CONTROLLER_MANAGER",
    "STORAGE",
    "POD",
    "DEPLOYMENT",
    "STATEFULSET",
    "DAEMONSET",
    "HPA",
    "CADVISOR",
    "KUBELET",
    "DCGM",
)


def logging_config() -> container.ClusterLoggingConfigArgs:
    """Logs of the system, of the control plane and of every pod."""
    return container.ClusterLoggingConfigArgs(
        enable_components=["SYSTEM_COMPONENTS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER", "WORKLOADS"]
    )


def monitoring_config() -> container.ClusterMonitoringConfigArgs:
    """Metrics of nodes, pods and GPUs, and the collectors for what pods offer themselves."""
    return container.ClusterMonitoringConfigArgs(
        enable_components=list(_METRICS),
        managed_prometheus=container.ClusterMonitoringConfigManagedPrometheusArgs(enabled=True),
        advanced_datapath_observability_config=container.ClusterMonitoringConfigAdvancedDatapathObservabilityConfigArgs(
            enable_metrics=True, enable_relay=False
        ),
    )
