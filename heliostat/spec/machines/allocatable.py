"""What of a node is left for a worker: Kubernetes, the machine's own kernel and the daemon sets take their part.

EKS: the node's bootstrap keeps 255 MiB and 11 MiB a pod, and by cores 6 % of the first, 1 % of the second, half a percent of
the next two, a quarter of a percent of each more. GKE: the same of cores, and of memory 25 % of the first 4 GiB, 20 % of the
next 4, 10 % of the next 8, 6 % of the next 112 and 2 % of what is above. Both keep 100 MiB free before they evict. Of a
machine's nominal memory the kernel and the hypervisor take up to 7.5 % on AWS (Karpenter's own allowance) and about 2 % on
Google Cloud. The daemon sets' part is an allowance of this library's: network, proxy, volumes, logs, device plugin.
"""

from __future__ import annotations

import math
from typing import Final

from heliostat.spec.machines.model import Cloud, Machine

MOST_PODS: Final = 110
"""Of a node, where nothing else is said."""
_EVICTION_GIB: Final = 100 / 1024
_OVERHEAD: Final = {"aws": 0.075, "gcp": 0.02}
_DAEMON_CPUS: Final = {"aws": 0.4, "gcp": 0.5}
_DAEMON_GIB: Final = {"aws": 0.75, "gcp": 1.0}
_BY_CORES: Final = ((1.0, 0.06), (1.0, 0.01), (2.0, 0.005), (math.inf, 0.0025))
_BY_GIB: Final = ((4.0, 0.25), (4.0, 0.20), (8.0, 0.10), (112.0, 0.06), (math.inf, 0.02))


def cpus_for_a_worker(cloud: Cloud, machine: Machine) -> int:
    """Whole CPUs that a pod can ask for; it is alone on its node, but for daemon sets."""
    return math.floor(cpus_for_pods(cloud, machine))


def gib_for_a_worker(cloud: Cloud, machine: Machine, pods: int) -> int:
    """Whole GiB that a pod can ask for on a node that may have so many pods."""
    return math.floor(gib_for_pods(cloud, machine, pods))


def cpus_for_pods(cloud: Cloud, machine: Machine) -> float:
    """CPUs that all pods of a node can ask for, but for daemon sets."""
    return machine.vcpus - _stepped(machine.vcpus, _BY_CORES) - _DAEMON_CPUS[cloud]


def gib_for_pods(cloud: Cloud, machine: Machine, pods: int = MOST_PODS) -> float:
    """GiB that all pods can ask for of a node that may have so many."""
    there = machine.memory_gib * (1 - _OVERHEAD[cloud])
    kept = (255 + 11 * min(pods, _most_pods(machine))) / 1024 if cloud == "aws" else _stepped(there, _BY_GIB)
    return there - kept - _EVICTION_GIB - _DAEMON_GIB[cloud]


def _most_pods(machine: Machine) -> int:
    """EKS allows no more pods than Kubernetes was tried with, however many addresses a machine has."""
    return MOST_PODS if machine.vcpus <= 30 else 250


def _stepped(amount: float, steps: tuple[tuple[float, float], ...]) -> float:
    """A share of each part of an amount."""
    kept = 0.0
    for size, share in steps:
        part = min(amount, size)
        kept += part * share
        amount -= part
    return kept
